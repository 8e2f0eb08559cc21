# SPDX-License-Identifier: ISC
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("post/", views.post),
    path("login/", LoginView.as_view(template_name="chat/index.html")),
    path("logout/", LogoutView.as_view()),
]
