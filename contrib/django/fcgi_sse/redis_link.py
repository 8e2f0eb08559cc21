# SPDX-License-Identifier: ISC
"""Redis, or the time without it.  A Redis that is away never fails a page: the log
has one warning, and what had to be ended is ended when it is back, by a request
or by a thread that there is only while something is owed."""
import atexit
import collections
import logging
import os
import threading
import time

from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, TimeoutError

from .redis_client import client

log = logging.getLogger("fcgi_sse")

RETRY_S = 5  # a Redis that is away is asked again after this
OWED_MAX = 10000
TELL_S = 60  # how often the log says that it refuses

# One that is loading, or does not know us, counts as well; and so does one that
# is a replica after a fail-over.  Whatever else it says is an answer, and asking
# again would not change it.
AWAY = (ConnectionError, TimeoutError, ReadOnlyError)


class Away(Exception):
    pass


class Link:
    def __init__(self):
        self.lock = threading.Lock()
        self.retry_at = 0  # of the monotonic clock; 0: all is well
        self.hangs = False  # it is away, and does not say so
        self.tell_at = 0
        self.owed = collections.deque()
        self.has_lost = False
        self.payer = None  # the thread

    def call(self, do):
        """(True, what do() returns), or (False, None): Redis is away, or refuses."""
        try:
            return True, self.attempt(do)
        except Away:
            pass
        except RedisError as err:
            if time.monotonic() >= self.tell_at:
                self.tell_at = time.monotonic() + TELL_S
                log.error("Redis refuses; until it does not, no stream follows its session: %s", err)
        return False, None

    def owe(self, do, is_sure=True):
        """Do it now, or when Redis is back; in both cases not if Redis refuses.  It may be done twice.
        is_sure: it does end something; what any visitor can cause has half of the places at most."""
        try:
            self.attempt(do)
        except Away:
            self._later(do, is_sure)
        except RedisError as err:
            self._give_up(err)

    def last_try(self):
        """At the end of the process."""
        try:
            self._pay()
        except AWAY as err:
            log.error("%d ends of sessions never reached Redis; their streams go on until the records expire: %s",
                      len(self.owed), err)

    def attempt(self, do, *, eagerly=False):
        """What do() returns.  Raises Away at once while Redis is away, RedisError if it refuses.
        eagerly: it is tried even so, unless that would take its time."""
        with self.lock:
            now = time.monotonic()
            if now < self.retry_at and (self.hangs or not eagerly):
                raise Away("Redis is away")
            if self.retry_at:  # one finds out: a Redis that hangs takes its time
                self.retry_at = now + RETRY_S
        try:
            self._pay()
            result = do()
        except AWAY as err:
            # the others may lead to that replica as well
            client().connection_pool.disconnect(inuse_connections=False)
            with self.lock:
                was_well, self.retry_at = not self.retry_at, time.monotonic() + RETRY_S
                self.hangs = isinstance(err, TimeoutError)
            if was_well:
                log.warning("Redis is away; until it is back, no stream follows its session: %s", err)
            raise Away("Redis is away: %s" % err) from err
        except RedisError:
            self._is_there()
            raise
        self._is_there()
        return result

    def _is_there(self):
        if self.retry_at:
            self.retry_at, self.has_lost = 0, False
            log.info("Redis is back")

    def _pay(self):
        while self.owed:
            try:
                do = self.owed[0]  # it stays there until it is done
                try:
                    do()
                except AWAY:
                    raise
                except Exception as err:
                    self._give_up(err)
                self.owed.remove(do)
            except (IndexError, ValueError):  # another thread paid it
                pass

    @staticmethod
    def _give_up(err):
        log.error("Redis refused to end a session; its streams go on until the record expires: %s", err)

    def _later(self, do, is_sure):
        with self.lock:
            if len(self.owed) >= (OWED_MAX if is_sure else OWED_MAX // 2):
                if not self.has_lost:
                    self.has_lost = True
                    log.error("too many sessions ended while Redis is away, %d are kept in mind; the streams of others "
                              "go on until their records expire", len(self.owed))
                if not is_sure:
                    return
                self.owed.popleft()
            self.owed.append(do)
            if self.payer is None:
                self.payer = threading.Thread(target=self._pay_later, name="fcgi_sse", daemon=True)
                self.payer.start()

    def _pay_later(self):
        while True:
            time.sleep(RETRY_S)
            self.call(lambda: None)
            with self.lock:
                if not self.owed:
                    self.payer = None
                    return


link = Link()
atexit.register(link.last_try)
# A child starts afresh: what is owed stays with who owes it, threads are not
# copied, and the lock may be held by one of them.
os.register_at_fork(after_in_child=link.__init__)
