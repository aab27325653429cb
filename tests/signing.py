"""Signing people in without typing: with a second factor, and sure of themselves a moment ago."""

import time

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.test import Client

from medstack.models import User

# In base 32; what an authenticator app would hold.
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
DAY = 24 * 3600


def give_factor(user: User) -> None:
    """Give a user an authenticator app, as everybody who may change something must have."""
    if not Authenticator.objects.filter(user=user).exists():
        TOTP.activate(user, SECRET)


def code_of(secret: str = SECRET) -> str:
    """Return what an authenticator app shows now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def sign_in(client: Client, user: User) -> Client:
    """Sign a user in; nothing asks for the password again within a day."""
    give_factor(user)
    client.force_login(user)
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": "password", "at": time.time() + DAY, "reauthenticated": True}
    ]
    session[f"{AUTHENTICATION_METHODS_SESSION_KEY}_user"] = str(user.pk)
    session.save()
    return client
