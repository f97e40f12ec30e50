/* lwIP for one TCP client: no operating system, static address, DNS. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0 /* only the main program calls lwIP */
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0

#define MEM_ALIGNMENT 4
#define MEM_SIZE (6 * 1024)
#define PBUF_POOL_SIZE 6
#define PBUF_POOL_BUFSIZE 1536 /* a frame in one piece */

#define TCP_MSS 1460
#define TCP_WND (2 * TCP_MSS)
#define TCP_SND_BUF (2 * TCP_MSS)
#define TCP_QUEUE_OOSEQ 0
#define MEMP_NUM_TCP_PCB 4 /* those that linger after close count */
#define MEMP_NUM_TCP_PCB_LISTEN 1

#define LWIP_UDP 1 /* for DNS */
#define LWIP_DNS 1
#define DNS_TABLE_SIZE 1
#define LWIP_ICMP 1
#define LWIP_STATS 0
#define LWIP_NETIF_LOOPBACK 0

/* After a restart the old connections' ports must not come again. */
#define LWIP_RANDOMIZE_INITIAL_LOCAL_PORTS 1

/* The emulator's names: its gateway forwards to the host's loopback. */
#define DNS_LOCAL_HOSTLIST 1
#define DNS_LOCAL_HOSTLIST_INIT                                               \
    {                                                                         \
        DNS_LOCAL_HOSTLIST_ELEM("localhost", IPADDR4_INIT_BYTES(10, 0, 2, 2)) \
    }

#endif
