/*
dynalock.h over BSD sockets, with one client for several threads: what ESP-IDF
and FreeRTOS with lwIP offer. One thread calls dynalock_poll again and again,
which renews the locks that are held; any other may take, check and give back
locks meanwhile (tests/firmware/threads.c does).

ESP-IDF has all the headers that port_sockets_threads.c includes. On FreeRTOS
with lwIP, the mutex is xSemaphoreCreateMutex, xSemaphoreTake, xSemaphoreGive,
the clock xTaskGetTickCount widened by dynalock_extend_ticks.
*/
#ifndef PORT_SOCKETS_THREADS_H
#define PORT_SOCKETS_THREADS_H

#include "dynalock.h"
#include <pthread.h>

/* One connection. Belongs to the caller, serves one client. */
typedef struct port_sockets {
    pthread_mutex_t mutex; /* held for one step of the client; guards socket */
    int socket;            /* -1: none */
} port_sockets;

/* Fills in all hooks. 0: done. */
int port_sockets_platform(port_sockets *port, dynalock_platform *platform);

#endif
