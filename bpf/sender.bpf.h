/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who sent a packet of this host: the application whose socket has the packet's source as its own end.
 */
#ifndef VNE_SENDER_BPF_H
#define VNE_SENDER_BPF_H

#include "packet.bpf.h"

/* The socket that sent a packet: its local end is `source`, the packet's or what that stands for. To be released. */
static __always_inline struct bpf_sock *vne_sender(struct __sk_buff *skb, const struct vne_packet *packet,
						   struct vne_address source)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv4);

	if (vne_is_ipv4(source)) {
		tuple.ipv4.saddr = bpf_htonl(packet->destination.low);
		tuple.ipv4.sport = bpf_htons(packet->destination_port);
		tuple.ipv4.daddr = bpf_htonl(source.low);
		tuple.ipv4.dport = bpf_htons(packet->source_port);
	} else {
		size = sizeof(tuple.ipv6);
		vne_address_words_be(packet->destination, tuple.ipv6.saddr);
		tuple.ipv6.sport = bpf_htons(packet->destination_port);
		vne_address_words_be(source, tuple.ipv6.daddr);
		tuple.ipv6.dport = bpf_htons(packet->source_port);
	}
	return packet->protocol == VNE_TCP ? bpf_sk_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0)
					   : bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/* The wildcard of both families that sent an IPv6 datagram: it is bound to the sender's IPv4 address. To be released.
 */
static __always_inline struct bpf_sock *vne_dual_sender(struct __sk_buff *skb, const struct vne_packet *packet,
							__u32 address4)
{
	struct bpf_sock_tuple tuple = {
		.ipv4.sport = bpf_htons(packet->destination_port),
		.ipv4.daddr = bpf_htonl(address4),
		.ipv4.dport = bpf_htons(packet->source_port),
	};
	struct bpf_sock *sender = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);

	if (sender && sender->family != VNE_AF_INET6) {
		bpf_sk_release(sender);
		return NULL;
	}
	return sender;
}

/* Whether a socket is bound to just this address. */
static __always_inline int vne_sender_is_at(const struct bpf_sock *sender, struct vne_address source)
{
	if (vne_is_ipv4(source))
		return sender->src_ip4 == bpf_htonl(source.low);
	return vne_is_same(vne_address6(sender->src_ip6[0], sender->src_ip6[1], sender->src_ip6[2], sender->src_ip6[3]),
			   source);
}

/* Whose the socket is that sent the packet: enum vne_sender. */
static __noinline int vne_sender_of(struct __sk_buff *skb, const struct vne_packet *packet,
				    const struct vne_attachment *application)
{
	__u32 level = application->level, address4 = application->identity.address4;
	__u64 cgroup = application->cgroup;
	struct bpf_sock *sender;
	int whose;

	if (!vne_is_own(&application->identity, packet->source)) {
		/* Kernel 6.1 takes no key out of the memory that a global function is given, so it goes by the stack.
		 */
		struct vne_address source = packet->source;
		const struct vne_owner *owns = bpf_map_lookup_elem(&owner, &source);

		cgroup = owns ? owns->cgroup : 0;
		level = owns ? owns->level : 0;
		address4 = owns ? owns->address4 : 0;
	}
	sender = vne_sender(skb, packet, packet->source);
	/* A datagram to loopback has a loopback source though its socket is a wildcard's, on the application address.
	 */
	if (!sender && packet->protocol == VNE_UDP && vne_is_own_loopback(&application->identity, packet->source))
		sender = vne_sender(skb, packet, vne_own_address(&application->identity, packet->source));
	if (!sender && packet->protocol == VNE_UDP && !vne_is_ipv4(packet->source) && address4)
		sender = vne_dual_sender(skb, packet, address4);
	if (!sender)
		return VNE_SENDER_UNKNOWN;
	if (cgroup && bpf_sk_ancestor_cgroup_id(sender, level) == cgroup)
		whose = VNE_SENDER_OWNER;
	else
		whose = vne_sender_is_at(sender, packet->source) ? VNE_SENDER_OTHER : VNE_SENDER_UNKNOWN;
	bpf_sk_release(sender);
	return whose;
}

#endif
