/*
The simulator's table as a program: tests/honesty.py compares it with servers.

    model_pipe [hide]

reads requests from standard input, each as "SIZE UNIX_MS\n" and so many bytes
of HTTP, and writes "SIZE\n" and the answer's bytes. hide: a refused condition
shows no item.
*/
#include "../simulation/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_SIZE 65536

int main(int argc, char **argv)
{
    static char request[REQUEST_SIZE + 1], answer[MODEL_ANSWER_SIZE];
    model_options options;
    model *m = model_new();
    int64_t now_ms;
    size_t size;

    memset(&options, 0, sizeof options);
    options.key_id = "AKIDEXAMPLE";
    options.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    options.region = "us-east-1";
    options.answer_all = 1;
    options.hide_item = argc > 1 && strcmp(argv[1], "hide") == 0;
    while (scanf("%zu %" SCNd64, &size, &now_ms) == 2) {
        if (getchar() != '\n' || size > REQUEST_SIZE ||
            fread(request, 1, size, stdin) != size)
            return 1;
        request[size] = '\0';
        size = model_serve(m, &options, now_ms, request, size, answer);
        printf("%zu\n", size);
        (void)fwrite(answer, 1, size, stdout);
        (void)fflush(stdout);
    }
    model_free(m);
    return 0;
}
