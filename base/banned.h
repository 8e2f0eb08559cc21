/* SPDX-License-Identifier: ISC */
/*
 * Functions that nobody here may call: to use one is a compile error (the idea
 * is git's).  The Makefile puts this file in front of every source with
 * -include, so it reads the headers that declare them first.  Each source
 * still includes what it uses: `make lint` compiles without this file.
 */
#ifndef BANNED_H
#define BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BANNED(function) function##_is_banned_see_banned_h

/* they know no limit: buf_put, snprintf, memcpy with a length */
#undef strcpy
#define strcpy(to, from) BANNED(strcpy)
#undef stpcpy
#define stpcpy(to, from) BANNED(stpcpy)
#undef strcat
#define strcat(to, from) BANNED(strcat)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef gets
#define gets(to) BANNED(gets)
#undef alloca
#define alloca(size) BANNED(alloca)

/* they pad, cut in silence, or forget the NUL */
#undef strncpy
#define strncpy(to, from, n) BANNED(strncpy)
#undef strncat
#define strncat(to, from, n) BANNED(strncat)

/* they write into what they read, or keep state of their own */
#undef strtok
#define strtok(s, separators) BANNED(strtok)
#undef strtok_r
#define strtok_r(s, separators, state) BANNED(strtok_r)
#undef gmtime
#define gmtime(t) BANNED(gmtime)
#undef localtime
#define localtime(t) BANNED(localtime)
#undef ctime
#define ctime(t) BANNED(ctime)
#undef asctime
#define asctime(t) BANNED(asctime)

/* they cannot fail: parse_u64 */
#undef atoi
#define atoi(s) BANNED(atoi)
#undef atol
#define atol(s) BANNED(atol)
#undef atoll
#define atoll(s) BANNED(atoll)
#undef atof
#define atof(s) BANNED(atof)

/* a shell, with what strangers wrote in it */
#undef system
#define system(command) BANNED(system)
#undef popen
#define popen(command, type) BANNED(popen)

/* names that somebody else can take first: mkstemp, mkdtemp */
#undef mktemp
#define mktemp(template) BANNED(mktemp)
#undef tmpnam
#define tmpnam(s) BANNED(tmpnam)
#undef tempnam
#define tempnam(folder, prefix) BANNED(tempnam)

#endif
