/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The private loopback in the socket-address hooks: where a call to 127.0.0.1 or ::1 goes. A socket that is bound there
 * is bound to an address that only the application has; one that is bound to a wildcard is found on the application
 * address, as it is on loopback on any host.
 */
#ifndef VNE_LOOPBACK_BPF_H
#define VNE_LOOPBACK_BPF_H

#include "socket.bpf.h"

/* What there is at an address and port; from VNE_LISTENER_BOUND on, a socket that has just this address. */
enum vne_listener {
	VNE_LISTENER_NONE,
	/* On a wildcard in truth, and not known to be the application's: a daemon of the host. */
	VNE_LISTENER_FOREIGN,
	VNE_LISTENER_BOUND,
	/* The program asked for a wildcard. */
	VNE_LISTENER_WILDCARD,
	/* For one of both families. */
	VNE_LISTENER_DUAL_WILDCARD,
};

/* Where a call to loopback goes. */
struct vne_loopback_route {
	/* All zero where nobody takes it. */
	struct vne_address destination;
	struct vne_address source;
};

static __always_inline int vne_listener_of(const struct vne_attachment *application, struct bpf_sock *sk, int is_same)
{
	__u32 *asked = bpf_sk_storage_get(&wildcard, sk, NULL, 0);

	if (!is_same)
		return asked && *asked == vne_asked_nothing(application) ? VNE_LISTENER_BOUND : VNE_LISTENER_FOREIGN;
	if (!asked || *asked != VNE_ASKED_WILDCARD)
		return VNE_LISTENER_BOUND;
	return sk->family == VNE_AF_INET6 ? VNE_LISTENER_DUAL_WILDCARD : VNE_LISTENER_WILDCARD;
}

/* The socket at an address that a datagram or a SYN from `source` would reach. To be released. */
static __always_inline struct bpf_sock *vne_socket_at(struct bpf_sock_addr *ctx, const struct vne_attempt *attempt,
						      const struct vne_address *source, const struct vne_address *at)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv4);

	if (vne_is_ipv4(*at)) {
		tuple.ipv4.saddr = bpf_htonl(source->low);
		tuple.ipv4.sport = bpf_htons(attempt->local_port);
		tuple.ipv4.daddr = bpf_htonl(at->low);
		tuple.ipv4.dport = bpf_htons(attempt->remote_port);
	} else {
		size = sizeof(tuple.ipv6);
		vne_address_words_be(*source, tuple.ipv6.saddr);
		tuple.ipv6.sport = bpf_htons(attempt->local_port);
		vne_address_words_be(*at, tuple.ipv6.daddr);
		tuple.ipv6.dport = bpf_htons(attempt->remote_port);
	}
	return attempt->protocol == VNE_TCP ? bpf_sk_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0)
					    : bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

static __noinline int vne_listener_at(struct bpf_sock_addr *ctx, const struct vne_attachment *application,
				      const struct vne_attempt *attempt, const struct vne_address *source,
				      const struct vne_address *at)
{
	struct bpf_sock *sk;
	int found;

	if (!application || vne_is_none(*at))
		return VNE_LISTENER_NONE;
	sk = vne_socket_at(ctx, attempt, source, at);
	if (!sk)
		return VNE_LISTENER_NONE;
	found = vne_listener_of(application, sk,
				vne_is_ipv4(*at) ? sk->src_ip4 == bpf_htonl(at->low)
						 : vne_is_same(vne_socket_local6(sk), *at));
	bpf_sk_release(sk);
	return found;
}

/* Whether a wildcard of both families, which is bound to IPv4, takes a call to ::1. */
static __always_inline int vne_is_dual_at(struct bpf_sock_addr *ctx, const struct vne_attachment *application,
					  const struct vne_attempt *attempt)
{
	struct vne_address wild = vne_address4(application->identity.address4);
	struct vne_address source = vne_address4(application->identity.loopback4 + 1);

	return application->identity.address4 && !vne_is_ipv4(attempt->remote) && attempt->protocol != VNE_ICMP &&
	       vne_listener_at(ctx, application, attempt, &source, &wild) == VNE_LISTENER_DUAL_WILDCARD;
}

/* The address that a call to loopback comes from: 127.0.0.1 or ::1, as the application has them. */
static __always_inline struct vne_address vne_loopback_source(const struct vne_attachment *application,
							      struct vne_address like)
{
	return vne_is_ipv4(like) ? vne_address4(application->identity.loopback4 + 1) : application->identity.loopback6;
}

/*
 * Finds who takes a call to loopback: a socket bound there, or one bound to a wildcard. A datagram that nobody takes
 * goes where a socket would be bound, unless a daemon of the host would get it.
 */
static __always_inline int vne_loopback_find(struct bpf_sock_addr *ctx, const struct vne_attachment *application,
					     const struct vne_attempt *attempt, struct vne_loopback_route *route)
{
	struct vne_address own = vne_own_loopback(&application->identity, attempt->remote);
	struct vne_address wild = vne_own_address(&application->identity, attempt->remote);
	int found;

	route->source = vne_loopback_source(application, attempt->remote);
	route->destination = own;
	if (vne_is_none(own))
		return 0;
	found = vne_listener_at(ctx, application, attempt, &route->source, &own);
	if (found >= VNE_LISTENER_BOUND)
		return 1;
	if (vne_listener_at(ctx, application, attempt, &route->source, &wild) >= VNE_LISTENER_WILDCARD) {
		route->destination = wild;
		return 1;
	}
	if (application->steered && vne_is_dual_at(ctx, application, attempt))
		return 1;
	return attempt->protocol == VNE_UDP && found == VNE_LISTENER_NONE;
}

#endif
