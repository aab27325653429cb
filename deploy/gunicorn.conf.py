"""How gunicorn serves the console; the address comes from who starts it."""

from medstack.children import end_with_parent

worker_class = "uvicorn_worker.UvicornWorker"
workers = 2
# Requests have so many seconds to end when it is asked to stop.
graceful_timeout = 10
# Only the proxy that the settings name is believed; see TRUSTED_PROXIES.
forwarded_allow_ips = ""
control_socket_disable = True
accesslog = "-"

# A worker that outlived a killed gunicorn would keep the port from the next one.
end_with_parent()
