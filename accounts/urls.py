"""Addresses of login and account."""

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import path

from accounts.views import AccountView, LoginView, create_token, revoke_token

urlpatterns = [
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", login_not_required(LogoutView.as_view()), name="logout"),
    path("account/", AccountView.as_view(), name="account"),
    path("account/tokens/", create_token, name="create-token"),
    path("account/tokens/<int:token_id>/revoke/", revoke_token, name="revoke-token"),
]
