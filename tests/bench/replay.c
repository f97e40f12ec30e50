/*
Sends requests that `cycles record` has written, one after the other over one
connection, and reads their answers: what no client can do faster. The server
checks no signature. The item must have been deleted since: then the first
request of the file creates it, and each condition holds as it did before.

    replay PORT N FILE    prints "seconds cpu-seconds" of the N cycles behind
                          the first WARM_UP
*/
#include "measure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_MOST (64 * 1024 * 1024)

static int connect_to(const char *port)
{
    struct sockaddr_in to;
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)strtol(port, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("cannot connect");
    return fd;
}

static char *read_file(const char *path, size_t *size)
{
    char *text = (char *)malloc(FILE_MOST);
    FILE *file = fopen(path, "rb");

    if (text == NULL || file == NULL) fail("the file cannot be read");
    *size = fread(text, 1, FILE_MOST - 1, file);
    text[*size] = '\0';
    if (!feof(file) || fclose(file) != 0) fail("the file cannot be read");
    return text;
}

/* The size of a whole message at text, 0 if it is not there yet. */
static size_t message_size(const char *text, const char *length_header)
{
    const char *body = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, length_header);

    if (body == NULL || length == NULL || length > body) return 0;
    return (size_t)(body + 4 - text) +
           strtoul(length + strlen(length_header), NULL, 10);
}

static void exchange(int fd, const char *request, size_t size)
{
    char answer[4096];
    size_t used = 0;

    if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("cannot send");
    for (;;) {
        ssize_t n = recv(fd, answer + used, sizeof answer - 1 - used, 0);

        if (n <= 0) fail("no answer");
        used += (size_t)n;
        answer[used] = '\0';
        size = message_size(answer, "\r\ncontent-length: ");
        if (size != 0 && used >= size) break;
    }
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0) fail(answer);
}

int main(int argc, char **argv)
{
    size_t left;
    char *at;
    long requests, i;
    int fd;

    if (argc != 4) fail("usage: replay PORT N FILE");
    requests = 2 * (WARM_UP + strtol(argv[2], NULL, 10));
    at = read_file(argv[3], &left);
    fd = connect_to(argv[1]);
    for (i = 0; i < requests; i++) {
        size_t size = message_size(at, "\r\ncontent-length:");

        if (size == 0 || size > left) fail("the file has too few requests");
        if (i == 2 * (long)WARM_UP) start_measuring();
        exchange(fd, at, size);
        at += size;
        left -= size;
    }
    print_measured();
    return close(fd);
}
