# SPDX-License-Identifier: ISC
from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from fcgi_sse import current_id

from .models import Message


def index(request):
    if not request.user.is_authenticated:
        return render(request, "chat/index.html")
    position = current_id()  # before the data is read: what comes later comes live
    messages = Message.objects.filter(Q(to="") | Q(to=request.user.get_username())).select_related("author")
    return render(request, "chat/index.html", {"position": position, "messages": messages.order_by("-pk")[:20]})


class MessageForm(forms.ModelForm):
    class Meta:
        model = Message
        fields = ["text", "to"]

    def clean_to(self):
        name = self.cleaned_data["to"]
        if name and not get_user_model().objects.filter(username=name).exists():
            raise forms.ValidationError("there is no user of this name")
        return name


@require_POST
@login_required
def post(request):
    form = MessageForm(request.POST)
    if not form.is_valid():
        return HttpResponse(form.errors.as_text(), status=400, content_type="text/plain")
    form.instance.author = request.user
    form.save()
    return HttpResponse(status=204) if "fetch" in request.POST else redirect("/")
