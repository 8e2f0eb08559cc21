# SPDX-License-Identifier: ISC
"""A user who is deactivated, deleted or renamed, or has a new password: the
streams of all of that user's sessions end when it is committed."""
import functools

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save

from . import records


def _watched(sender, raw):
    model, meta = get_user_model(), sender._meta.concrete_model._meta
    # raw, of a fixture: the fields of a parent's table are not in it, nor saved
    names = {field.name for field in (meta.local_concrete_fields if raw else meta.concrete_fields)}
    return [name for name in ("password", "is_active", model.USERNAME_FIELD) if name in names]


def _before(sender, instance, raw, using, update_fields, **_):
    fields = [f for f in _watched(sender, raw) if update_fields is None or f in update_fields]
    before = None
    if fields and instance.pk is not None:  # one that is new may take a row's place: User(pk=1, ...).save(), loaddata
        before = sender._base_manager.using(using).filter(pk=instance.pk).values(*fields).first()
    instance.__dict__.setdefault("_fcgi_sse_before", []).append(before or {})


def _after(sender, instance, using, **_):
    # All that was noted since the last one: of this save(), of the one around it, whose
    # receivers called it, and of one that failed.  So none hides the change of another.
    notes = instance.__dict__.pop("_fcgi_sse_before", [])
    changed = {name for before in notes for name, value in before.items()
               if name in instance.__dict__ and getattr(instance, name) != value}
    if len(notes) > 1:  # the one around it may save more
        instance._fcgi_sse_before = [{name: getattr(instance, name) for before in notes for name in before
                                      if name in instance.__dict__}]
    if not changed or changed == {"is_active"} and instance.is_active:
        return
    # a new name leaves the sessions good: their next request writes it
    is_over = changed != {instance.USERNAME_FIELD}
    transaction.on_commit(functools.partial(records.end_streams, instance.pk, is_over=is_over), using=using)


def _deleted(sender, instance, using, **_):
    transaction.on_commit(functools.partial(records.end_streams, instance.pk), using=using)


def connect():
    # With their senders: a receiver of every post_delete would slow all deletes.
    for model in apps.get_models(include_auto_created=False):
        if issubclass(model, get_user_model()):
            for signal, receiver in ((pre_save, _before), (post_save, _after), (post_delete, _deleted)):
                signal.connect(receiver, sender=model, dispatch_uid="fcgi_sse.%s" % receiver.__name__)
