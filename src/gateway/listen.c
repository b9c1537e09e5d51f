/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "errno-util.h"
#include "fd-util.h"
#include "string-util.h"

static int listen_at(const struct addrinfo *a) {
        _cleanup_close_ int fd = -EBADF;
        int on = 1, off = 0;

        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return negative_errno();
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return negative_errno();
        if (a->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
                return negative_errno();
        if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
                return negative_errno();
        return TAKE_FD(fd);
}

int listen_tcp(const char *address) {
        const char *port = strrchr(address, ':');
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV },
                        *list;
        _cleanup_free_ char *host = NULL;
        int fd = -EADDRNOTAVAIL;

        if (!port)
                return -EINVAL;
        host = address[0] == '[' ? strndup(address + 1, (size_t) (port - address) - 2) :
                                   strndup(address, (size_t) (port - address));
        if (!host)
                return -ENOMEM;
        if (getaddrinfo(host, port + 1, &hints, &list) != 0)
                return -EHOSTUNREACH;
        for (const struct addrinfo *a = list; a; a = a->ai_next) {
                fd = listen_at(a);
                if (fd >= 0)
                        break;
        }
        /* a kernel without IPv6: all of IPv4 then */
        if (fd == -EAFNOSUPPORT && streq(host, "::")) {
                struct sockaddr_in any = { .sin_family = AF_INET };
                struct addrinfo v4 = { .ai_family = AF_INET,
                                       .ai_addr = (struct sockaddr *) &any,
                                       .ai_addrlen = sizeof(any) };

                any.sin_port = ((struct sockaddr_in6 *) list->ai_addr)->sin6_port;
                fd = listen_at(&v4);
        }
        freeaddrinfo(list);
        return fd;
}

static bool socket_is_left_over(const struct sockaddr_un *a) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct stat st;

        /* a file that is no socket refuses connections as well */
        return fd >= 0 && lstat(a->sun_path, &st) >= 0 && S_ISSOCK(st.st_mode) &&
               connect(fd, (const struct sockaddr *) a, sizeof(*a)) < 0 && errno == ECONNREFUSED;
}

int listen_unix(const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (strlen(path) >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        memcpy(a.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return negative_errno();
        r = RET_NERRNO(bind(fd, (struct sockaddr *) &a, sizeof(a)));
        if (r == -EADDRINUSE && socket_is_left_over(&a)) {
                if (unlink(path) < 0)
                        return negative_errno();
                r = RET_NERRNO(bind(fd, (struct sockaddr *) &a, sizeof(a)));
        }
        if (r < 0)
                return r;
        if (chmod(path, 0660) < 0 || listen(fd, SOMAXCONN) < 0) {
                r = negative_errno();
                (void) unlink(path);
                return r;
        }
        return TAKE_FD(fd);
}

int listen_is_local(int fd) {
        union {
                struct sockaddr any;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
                struct sockaddr_un un;
        } a = {};
        socklen_t n = sizeof(a);

        if (getsockname(fd, &a.any, &n) < 0)
                return negative_errno();
        switch (a.any.sa_family) {
        case AF_UNIX:
                return true;
        case AF_INET:
                return ntohl(a.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
        case AF_INET6:
                return IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
        default:
                return false;
        }
}

int listen_port(int fd, uint16_t *ret) {
        struct sockaddr_storage a;
        socklen_t n = sizeof(a);

        if (getsockname(fd, (struct sockaddr *) &a, &n) < 0)
                return negative_errno();
        if (a.ss_family == AF_INET)
                *ret = ntohs(((struct sockaddr_in *) &a)->sin_port);
        else if (a.ss_family == AF_INET6)
                *ret = ntohs(((struct sockaddr_in6 *) &a)->sin6_port);
        else
                return -EAFNOSUPPORT;
        return 0;
}
