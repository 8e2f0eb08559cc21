# SPDX-License-Identifier: ISC
"""contrib/django: a user who changes - which changes end streams, and which do not.
Django runs in this process, Redis is real."""
import pytest

from django_pages import change_password, deactivate, delete, listen, mark_of, rename, site  # noqa: F401
from django_site import ENGINES, django, new_user, records  # noqa: F401
from processes import wait_until

import fcgi_sse
from django.contrib.auth import get_user_model
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, connections, transaction
from django.db.models.signals import post_save, pre_save
from fcgi_sse import sessions


def test_deactivated_and_deleted(redis, site):
    """A user who is deactivated or deleted loses all streams at once, and gets none back."""
    browser = site("db")
    for end in ("deactivate", "delete"):
        user, do, other = new_user(), browser(), browser()
        bystander = browser()
        bystander("login", user=new_user().username)
        do("login", user=user.username)
        other("login", user=user.username)
        heard = listen(redis, other.key)
        if end == "delete":
            user.delete()
        else:
            user.is_active = False
            user.save()
        assert redis.client.exists(do.key, other.key) == 0 and redis.client.exists(bystander.key)
        assert redis.client.exists(mark_of(do), mark_of(other)) == 2
        assert wait_until(lambda: heard.get_message())
        heard.close()
        sessions.recent.forget()
        do("visit")
        other("visit")
        assert redis.client.exists(do.key, other.key) == 0
        bystander("logout")


def test_rolled_back(redis, site):
    """A deactivation that is rolled back ends nothing."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)
    with pytest.raises(RuntimeError), transaction.atomic():
        user.is_active = False
        user.save()
        raise RuntimeError
    assert redis.client.exists(do.key)


@pytest.mark.parametrize("engine", ENGINES)
def test_password_change(redis, site, engine):
    """A new password ends the streams of the other sessions at once; the one that changed it goes on."""
    browser = site(engine)
    user, do, other = new_user(), browser(), browser()
    do("login", user=user.username)
    other("login", user=user.username)
    heard = listen(redis, other.key)
    do("password", keep="")
    assert wait_until(heard.get_message)
    heard.close()
    assert redis.client.exists(do.key) and not redis.client.exists(other.key) and len(records(redis)) == 1
    assert redis.client.exists(mark_of(other))
    sessions.recent.forget()
    assert other("visit").content == b""
    assert len(records(redis)) == 1
    do("password")  # and without update_session_auth_hash this one ends, too
    assert records(redis) == []
    do("visit")
    assert records(redis) == []


def test_renamed(redis, site):
    """A new user name: the channel of the old one is lost at once, the next page gives the new one."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)
    user.username = "renamed"
    user.save()
    assert records(redis) == [] and not redis.client.exists(mark_of(do))
    do("visit")
    assert records(redis) == [("renamed", ["renamed", "all"])]


def test_changes_that_end_nothing(redis, site):
    """A user who is active again, a field that does not matter, and a change that is not saved end nothing."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    user.save()
    user.first_name = "Tug"
    user.save()
    user.is_active = False
    user.save(update_fields=["first_name"])
    assert redis.client.exists(do.key)
    user.save(update_fields=["is_active"])
    assert not redis.client.exists(do.key)


@pytest.fixture
def other():
    """A second database, with users."""
    connections.databases["other"] = {**connections.databases["default"], "NAME": "file:other?mode=memory&cache=shared"}
    call_command("migrate", database="other", verbosity=0)
    yield "other"
    connections["other"].close()
    del connections["other"], connections.databases["other"]


@pytest.mark.parametrize("change", [deactivate, delete])
def test_another_database(redis, django, other, change):  # noqa: F811
    """A user in another database: what was before is read there, and the commit there is what ends the streams and
    sends events."""
    user = new_user()
    user.save(using=other)
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    key = "sse:session:" + "d" * 64
    redis.client.set(key, "{}")
    redis.client.zadd("sse:user:%s" % user.pk, {"d" * 64: 1})
    user = get_user_model().objects.using(other).get(pk=user.pk)
    with transaction.atomic(using=other):
        change(user)
        fcgi_sse.send_event_on_commit("message", "x", using=other)
        assert redis.client.exists(key, "sse:history:sse") == 1
    assert redis.client.exists(key) == 0 and redis.client.exists("sse:history:sse")


@pytest.fixture
def first_receiver():
    """first_receiver(f): f hears the user's post_save before the package does."""
    before = post_save.receivers[:]

    def connect(receiver):
        post_save.connect(receiver, sender=get_user_model(), weak=False)
        post_save.receivers = post_save.receivers[-1:] + before
        post_save.sender_receivers_cache.clear()

    yield connect
    post_save.receivers = before
    post_save.sender_receivers_cache.clear()


def save_again(instance, **_):
    """A receiver that saves the user once more, well and without success."""
    if not instance.__dict__.setdefault("saved_again"):
        instance.saved_again = True
        instance.save()
        with pytest.raises(IntegrityError), transaction.atomic():
            instance.save(force_insert=True)


@pytest.mark.parametrize("change", [deactivate, change_password, rename])
def test_saved_again_in_a_receiver(redis, site, first_receiver, change):
    """Another receiver that saves the user once more, even without success, hides no change."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)
    first_receiver(save_again)
    change(user)
    assert user.saved_again and records(redis) == []


def test_saved_again_before_the_save(redis, site):
    """A receiver that saves the user in part, and changes it then, before it is saved."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)

    def receiver(instance, update_fields, **_):
        if update_fields is None:
            instance.save(update_fields=["last_login", "is_active"])
            instance.is_active = False

    pre_save.connect(receiver, sender=get_user_model())
    try:
        user.save()
    finally:
        pre_save.disconnect(receiver, sender=get_user_model())
    assert records(redis) == []


def test_failed_save(redis, site):
    """What was before a save that failed hides no change of a later one."""
    users = get_user_model().objects
    do, user, taken = site("db")(), new_user(), new_user().username
    name, user.username = user.username, taken
    users.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(IntegrityError), transaction.atomic():
        user.save()
    users.filter(pk=user.pk).update(is_active=True)
    user.refresh_from_db()
    do("login", user=name)
    user.save(update_fields=["last_login"])
    assert redis.client.exists(do.key)
    user.is_active = False
    user.save()
    assert not redis.client.exists(do.key)


@pytest.mark.parametrize("how", ["new", "loaddata"])
def test_saved_over(redis, site, folder, how):
    """A user who is saved anew under the same primary key, or loaded from a fixture, is a change like any other."""
    user, do, other = new_user(), site("db")(), site("db")()
    do("login", user=user.username)
    other("login", user=new_user().username)
    user.is_active = False
    if how == "loaddata":
        call_command("loaddata", folder.write("users.json", serializers.serialize("json", [user])), verbosity=0)
    else:
        get_user_model()(pk=user.pk, username=user.username, password=user.password, is_active=False).save()
    assert not redis.client.exists(do.key) and redis.client.exists(other.key)
    call_command("loaddata", folder.write("users.json", serializers.serialize("json", get_user_model().objects.all())),
                 verbosity=0)
    assert redis.client.exists(other.key), "nothing has changed"


def test_update_behind_the_signals(redis, site):
    """QuerySet.update() sends no signal: the next request ends the record, or end_streams() at once."""
    browser = site("db")
    user, do, other = new_user(), browser(), browser()
    do("login", user=user.username)
    other("login", user=user.username)
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    do("visit")
    assert not redis.client.exists(do.key) and redis.client.exists(other.key, mark_of(do)) == 2
    fcgi_sse.end_streams(user)
    assert not redis.client.exists(other.key)
    do = browser()
    do("login", user=new_user().username)
    fcgi_sse.end_session(do.cookie)
    assert records(redis) == []
