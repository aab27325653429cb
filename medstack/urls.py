"""Where every page stands."""

from allauth.account.views import reauthenticate
from django.urls import include, path

# Who registers something on the support site is found by being imported.
from backups import admin as backups_admin  # noqa: F401
from backups.api import router as backups_router
from clusters.api import router as clusters_router
from medstack.admin import activity as support_activity  # noqa: F401
from medstack.admin import people as support_people  # noqa: F401
from medstack.admin.site import site
from medstack.api import api, unknown_address
from medstack.api import router as operations_router
from medstack.views import activity, assets, audit, documents, members, people, tokens

for router in (clusters_router, backups_router, operations_router):
    api.add_router("", router)

urlpatterns = [
    path("sign-in/", people.SignIn.as_view(), name="account_login"),
    path("account/confirm/", reauthenticate, name="account_reauthenticate"),
    path("account/security/", include("allauth.mfa.urls")),
    path("account/sessions/", include("allauth.usersessions.urls")),
    path("sign-out/", people.sign_out, name="sign_out"),
    path("password/", people.change_password, name="change_password"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/new/", tokens.new_token, name="new_token"),
    path("tokens/<int:pk>/revoke/", tokens.revoke_token, name="revoke_token"),
    path("people/", members.members, name="members"),
    path("people/invite/", members.invite, name="invite"),
    path("people/<int:pk>/", members.change_member, name="change_member"),
    path(
        "people/invitations/<int:pk>/revoke/",
        members.revoke_invitation,
        name="revoke_invitation",
    ),
    path("join/<str:token>/", members.accept_invitation, name="accept_invitation"),
    path("operations/", activity.operations, name="operations"),
    path("operations/running/", activity.running, name="running_operations"),
    path("operations/<int:pk>/", activity.operation, name="operation"),
    path("operations/<int:pk>/cancel/", activity.cancel_operation, name="cancel_operation"),
    path("activity/", audit.events, name="events"),
    path("activity/<int:pk>/<slug:suffix>/", audit.export_events, name="export_events"),
    path("help/", documents.contents, name="help_contents"),
    path("help/<path:name>/", documents.document, name="help"),
    path("static/<path:path>", assets.asset, name="asset"),
    path("healthz", activity.health, name="health"),
    path("api/v1/", api.urls),
    path("api/<path:rest>", unknown_address, name="unknown_address"),
    path("admin/", site.urls),
    path("", include("backups.urls")),
    path("", include("clusters.urls")),
]
