from django.contrib.auth.views import LogoutView
from django.urls import path

from people_app import login, token_pages

urlpatterns = [
    path("login/", login.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("sign-up/", login.sign_up, name="sign-up"),
    path("account/password/", login.ChangePassword.as_view(), name="change-password"),
    path("account/tokens/new/", token_pages.make_token, name="make-token"),
    path("account/tokens/<int:pk>/revoke/", token_pages.revoke_token, name="revoke-token"),
]
