"""Where every page stands."""

from django.urls import include, path

from medstack.views import activity, people

urlpatterns = [
    path("sign-in/", people.SignIn.as_view(), name="sign_in"),
    path("sign-out/", people.sign_out, name="sign_out"),
    path("password/", people.change_password, name="change_password"),
    path("operations/", activity.operations, name="operations"),
    path("operations/<int:pk>/", activity.operation, name="operation"),
    path("activity/", activity.events, name="events"),
    path("healthz", activity.health, name="health"),
    path("", include("backups.urls")),
    path("", include("clusters.urls")),
]
