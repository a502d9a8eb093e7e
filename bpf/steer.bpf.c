/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Dual stack: a wildcard of both families is bound to the application's IPv4 address, as a socket that is bound to IPv6
 * takes no IPv4. So an IPv6 packet for it is handed to it here, where the packet enters the host. Nothing is judged:
 * the socket's own hooks do that. Attached to interfaces, and only while an application has both families.
 */
#include <linux/pkt_cls.h>
#include "packet.bpf.h"
#include "socket.bpf.h"

/* The ends of a packet, as a socket look-up wants them. */
static __always_inline int vne_steer_read(struct __sk_buff *skb, struct ipv6hdr *ip, __be16 *ports)
{
	return skb->protocol == bpf_htons(ETH_P_IPV6) &&
	       !bpf_skb_load_bytes_relative(skb, 0, ip, sizeof(*ip), BPF_HDR_START_NET) &&
	       (ip->nexthdr == VNE_TCP || ip->nexthdr == VNE_UDP) &&
	       !bpf_skb_load_bytes_relative(skb, sizeof(*ip), ports, 2 * sizeof(*ports), BPF_HDR_START_NET);
}

static __always_inline int vne_is_bound6(const struct bpf_sock *sk)
{
	return !!(sk->src_ip6[0] | sk->src_ip6[1] | sk->src_ip6[2] | sk->src_ip6[3]);
}

/* Whether a segment finds a socket by itself: a connection's, or one that is bound to just its destination. */
static __noinline int vne_segment_finds(struct __sk_buff *skb, struct bpf_sock_tuple *tuple)
{
	struct bpf_sock *sk = bpf_skc_lookup_tcp(skb, tuple, sizeof(tuple->ipv6), BPF_F_CURRENT_NETNS, 0);
	int found;

	if (!sk)
		return 0;
	found = vne_is_bound6(sk);
	bpf_sk_release(sk);
	return found;
}

/* The same of a datagram. Two functions, as the verifier takes no instruction for both kinds of socket. */
static __noinline int vne_datagram_finds(struct __sk_buff *skb, struct bpf_sock_tuple *tuple)
{
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, tuple, sizeof(tuple->ipv6), BPF_F_CURRENT_NETNS, 0);
	int found;

	if (!sk)
		return 0;
	found = vne_is_bound6(sk);
	bpf_sk_release(sk);
	return found;
}

static __always_inline int vne_steer_finds(struct __sk_buff *skb, const struct ipv6hdr *ip, const __be16 *ports)
{
	struct bpf_sock_tuple tuple = {};

	__builtin_memcpy(tuple.ipv6.saddr, &ip->saddr, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, &ip->daddr, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.sport = ports[0];
	tuple.ipv6.dport = ports[1];
	return ip->nexthdr == VNE_TCP ? vne_segment_finds(skb, &tuple) : vne_datagram_finds(skb, &tuple);
}

/* Hands the packet to the wildcard at the IPv4 address, if there is one of both families. */
static __always_inline void vne_steer_to(struct __sk_buff *skb, const struct ipv6hdr *ip, const __be16 *ports,
					 __u32 address)
{
	struct bpf_sock_tuple tuple = {
		.ipv4.daddr = bpf_htonl(address),
		.ipv4.sport = ports[0],
		.ipv4.dport = ports[1],
	};
	struct bpf_sock *sk;
	__u32 *asked;

	sk = ip->nexthdr == VNE_TCP ? bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0)
				    : bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return;
	if (sk->family == VNE_AF_INET6 && sk->src_ip4 == tuple.ipv4.daddr && !sk->dst_port) {
		asked = bpf_sk_storage_get(&wildcard, sk, NULL, 0);
		if (asked && *asked == VNE_ASKED_WILDCARD)
			bpf_sk_assign(skb, sk, 0);
	}
	bpf_sk_release(sk);
}

SEC("tc")
int vne_steer(struct __sk_buff *skb)
{
	const struct vne_owner *owns;
	struct vne_address destination;
	struct ipv6hdr ip;
	__be16 ports[2];

	if (!vne_steer_read(skb, &ip, ports))
		return TC_ACT_UNSPEC;
	destination = vne_address6(ip.daddr.in6_u.u6_addr32[0], ip.daddr.in6_u.u6_addr32[1],
				   ip.daddr.in6_u.u6_addr32[2], ip.daddr.in6_u.u6_addr32[3]);
	owns = bpf_map_lookup_elem(&owner, &destination);
	if (owns && owns->address4 && !vne_steer_finds(skb, &ip, ports))
		vne_steer_to(skb, &ip, ports, owns->address4);
	return TC_ACT_UNSPEC;
}
