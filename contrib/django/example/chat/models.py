# SPDX-License-Identifier: ISC
from django.conf import settings
from django.db import models
from django.db.models.signals import post_save
from django.dispatch import receiver

from fcgi_sse import send_event_on_commit


class Message(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    to = models.CharField(max_length=150, blank=True)  # a user's name; empty: everybody
    text = models.CharField(max_length=500)


@receiver(post_save, sender=Message)
def tell(instance, created, **_):
    """A new message is an event, on the channel of its reader or on that of all."""
    if created:
        send_event_on_commit("message", {"type": "chat", "id": instance.pk, "author": instance.author.get_username(),
                                         "text": instance.text}, instance.to or "all")
