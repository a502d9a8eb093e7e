/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The guard, on cgroups that are no applications: their processes take no address of the address space, nor of a
 * private loopback, as their local one, and hear nothing on an address that an application has. Where the policy names
 * an address for them, their wildcards are bound to that, so that applications may have the same port.
 *
 * Applications may lie below a guarded cgroup. Their own hooks run first, so what comes here of them is on their own
 * addresses already, and passes. What the guard cannot read, it lets pass unless an application of this host has the
 * address: a host that is not reachable any more helps nobody, and the applications judge for themselves.
 */
#include "only6.bpf.h"

extern struct vne_application_map application SEC(".maps");

/* Deeper cgroups are searched for no application: it is taken for a process of the host, which is refused more. */
#define VNE_GUARD_LEVELS 32

/* ------------------------------------------------------------------ addresses */

/* 127.1.0.0 to 127.254.255.255, and fd56:4e45::/32: what loopback is to applications. */
static __always_inline int vne_is_in_pool(struct vne_address address)
{
	__u32 ipv4 = address.low;

	if (vne_is_ipv4(address))
		return ipv4 >= VNE_LOOPBACK_FIRST && ipv4 <= (VNE_LOOPBACK_LAST | 0xff);
	return address.high >> 32 == VNE_LOOPBACK6_PREFIX;
}

/* Whether a private loopback is this application's. */
static __always_inline int vne_has_loopback(const struct vne_application *record, struct vne_address address)
{
	if (vne_is_ipv4(address))
		return record->loopback4 && record->loopback4 == ((__u32)address.low & ~0xffu);
	return vne_is_same(record->loopback6, address);
}

/* Whether the policy has the address in the address space. What cannot be looked up is not. */
static __noinline int vne_is_in_space(const struct vne_address *address)
{
	struct vne_image image;
	__u32 kind;

	if (!vne_image_current(&image) || !vne_image_open(&image))
		return 0;
	kind = vne_entry_kind(vne_image_owner(&image, address));
	return kind == VNE_ENTRY_UNASSIGNED || kind == VNE_ENTRY_ENVIRONMENT || kind == VNE_ENTRY_RESERVED;
}

/* The address that the policy names for guarded processes, of the family of another one; none where it names none. */
static __always_inline struct vne_address vne_guard_address(struct vne_address like)
{
	struct vne_address none = {};
	struct vne_image image;

	if (!vne_image_current(&image) || !vne_image_open(&image))
		return none;
	return vne_is_ipv4(like) ? image.header->guard4 : image.header->guard6;
}

/* ------------------------------------------------------------------ who asks */

/* The application of the calling process. */
static __always_inline const struct vne_application *vne_caller_application(void)
{
	for (int level = 1; level <= VNE_GUARD_LEVELS; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);
		const struct vne_application *record;

		if (!id)
			return NULL;
		record = bpf_map_lookup_elem(&application, &id);
		if (record)
			return record;
	}
	return NULL;
}

/* The application whose socket a packet is for. */
static __always_inline const struct vne_application *vne_receiver_application(struct __sk_buff *skb)
{
	for (int level = 1; level <= VNE_GUARD_LEVELS; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);
		const struct vne_application *record;

		if (!id)
			return NULL;
		record = bpf_map_lookup_elem(&application, &id);
		if (record)
			return record;
	}
	return NULL;
}

/*
 * Whether a call is none of the guard's concern: it was refused already, or its socket lives in another network
 * namespace, which has addresses of its own.
 */
static __always_inline int vne_guard_passes(struct bpf_sock_addr *ctx)
{
	const struct vne_instance *served;
	__u32 zero = 0;

	if (bpf_get_retval())
		return 1;
	served = bpf_map_lookup_elem(&instance, &zero);
	return !served || bpf_get_netns_cookie(ctx) != served->netns;
}

/* Whether the calling process may not have the address as its local one. */
static __noinline int vne_is_foreign(const struct vne_address *address)
{
	struct vne_address key = *address;
	const struct vne_owner *owns;

	if (vne_is_in_pool(key)) {
		const struct vne_application *record = vne_caller_application();

		return !record || !vne_has_loopback(record, key);
	}
	owns = bpf_map_lookup_elem(&owner, &key);
	if (owns)
		return bpf_get_current_ancestor_cgroup_id(owns->level) != owns->cgroup;
	return vne_is_in_space(&key);
}

/* ------------------------------------------------------------------ refusals */

/* Counts a denial; whether its record may go into the ring buffer. */
static __always_inline int vne_guard_counts(__u32 hook)
{
	struct vne_guard_count *count = bpf_get_local_storage(&guard_count, 0);
	__u32 second = bpf_ktime_get_coarse_ns() / 1000000000ull;

	if (hook < VNE_HOOKS)
		__sync_fetch_and_add(&count->denied[hook], 1);
	if (count->event_second != second) {
		count->event_second = second;
		count->event_count = 0;
	}
	return count->event_count++ < VNE_EVENTS_PER_SECOND;
}

/* Room for a record, zeroed but for what all records have; to be submitted. */
static __always_inline struct vne_event *vne_guard_event(__u32 hook, __u32 reason, const struct vne_address *local)
{
	struct vne_event *event = bpf_ringbuf_reserve(&denials, sizeof(*event), 0);

	if (!event)
		return NULL;
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_coarse_ns();
	event->hook = hook;
	event->reason = reason;
	event->local = *local;
	return event;
}

/* A call that would take `local`; its errno is EADDRNOTAVAIL, and EPERM where a datagram asks for it. */
static __always_inline int vne_guard_refuse(struct bpf_sock_addr *ctx, __u32 hook, __u32 reason,
					    const struct vne_address *local)
{
	struct vne_event *event = vne_guard_counts(hook) ? vne_guard_event(hook, reason, local) : NULL;

	if (event) {
		event->cgroup = bpf_get_current_cgroup_id();
		event->protocol = vne_socket_protocol(ctx);
		if (hook == VNE_HOOK_BIND)
			event->local_port = bpf_ntohs(ctx->user_port);
		else
			event->remote_port = bpf_ntohs(ctx->user_port);
		event->process = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(event->command, sizeof(event->command));
		bpf_ringbuf_submit(event, 0);
	}
	if (hook != VNE_HOOK_SEND)
		bpf_set_retval(-VNE_EADDRNOTAVAIL);
	return 0;
}

/* ------------------------------------------------------------------ sockets of other namespaces */

/* Only packets need the mark: no packet hook of kernel 6.1 can ask for the namespace. Accepted sockets inherit it. */
SEC("cgroup/sock_create")
int vne_g_create(struct bpf_sock *ctx)
{
	const struct vne_instance *served;
	__u32 zero = 0, *mark;

	served = bpf_map_lookup_elem(&instance, &zero);
	if (served && bpf_get_netns_cookie(ctx) != served->netns) {
		mark = bpf_sk_storage_get(&elsewhere, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (mark)
			*mark = 1;
	}
	return 1;
}

/* ------------------------------------------------------------------ binding */

SEC("cgroup/bind4")
int vne_g_bind4(struct bpf_sock_addr *ctx)
{
	struct vne_address asked = vne_named4(ctx), instead;

	if (vne_guard_passes(ctx))
		return 1;
	if ((__u32)asked.low)
		return vne_is_foreign(&asked) ? vne_guard_refuse(ctx, VNE_HOOK_BIND, VNE_REASON_FOREIGN_ADDRESS, &asked)
					      : 1;
	instead = vne_guard_address(asked);
	/* An application's wildcard is its own address by now, or one that it needs for groups. */
	if (!vne_is_none(instead) && !vne_caller_application())
		vne_put4(ctx, instead.low);
	return 1;
}

/*
 * A wildcard of both families stays one: a socket has one address, and would lose the other family. What stays hears
 * nothing on applications' addresses, and keeps applications from its port.
 */
SEC("cgroup/bind6")
int vne_g_bind6(struct bpf_sock_addr *ctx)
{
	struct vne_address asked = vne_named6(ctx), instead;

	if (vne_guard_passes(ctx))
		return 1;
	if (!vne_is_none(asked) && !vne_is_same(asked, vne_address4(0)))
		return vne_is_foreign(&asked) ? vne_guard_refuse(ctx, VNE_HOOK_BIND, VNE_REASON_FOREIGN_ADDRESS, &asked)
					      : 1;
	if (vne_is_none(asked) && !vne_is_only6(ctx))
		return 1;
	instead = vne_guard_address(asked);
	if (!vne_is_none(instead) && !vne_caller_application())
		vne_put6(ctx, instead);
	return 1;
}

/* ------------------------------------------------------------------ connecting */

/* Whether an unbound socket needs an address of its own towards `remote`. */
static __always_inline int vne_is_application_space(const struct vne_address *remote)
{
	struct vne_address key = *remote;

	return bpf_map_lookup_elem(&owner, &key) || vne_is_in_space(remote);
}

/*
 * The named address could not be had: the socket has a port already. Towards an application of this host the kernel
 * would give it that application's address, whose answers never reach it.
 */
static __always_inline int vne_guard_without_source(struct bpf_sock_addr *ctx, const struct vne_address *remote)
{
	struct vne_address key = *remote;

	return bpf_map_lookup_elem(&owner, &key) ? vne_guard_refuse(ctx, VNE_HOOK_CONNECT, VNE_REASON_SOURCE, remote)
						 : 1;
}

SEC("cgroup/connect4")
int vne_g_connect4(struct bpf_sock_addr *ctx)
{
	struct sockaddr_in source = { .sin_family = VNE_AF_INET };
	struct vne_address remote = vne_named4(ctx), local, instead;
	struct bpf_sock *sk = ctx->sk;

	if (!sk || vne_guard_passes(ctx))
		return 1;
	local = vne_address4(bpf_ntohl(sk->src_ip4));
	if ((__u32)local.low)
		return vne_is_foreign(&local) ? vne_guard_refuse(ctx, VNE_HOOK_CONNECT, VNE_REASON_SOURCE, &local) : 1;
	instead = vne_guard_address(remote);
	if (vne_is_none(instead) || !vne_is_application_space(&remote))
		return 1;
	source.sin_addr.s_addr = bpf_htonl(instead.low);
	return bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source)) ? vne_guard_without_source(ctx, &remote) : 1;
}

SEC("cgroup/connect6")
int vne_g_connect6(struct bpf_sock_addr *ctx)
{
	struct sockaddr_in6 source = { .sin6_family = VNE_AF_INET6 };
	struct vne_address remote = vne_named6(ctx), local, instead;
	struct bpf_sock *sk = ctx->sk;

	if (!sk || vne_guard_passes(ctx))
		return 1;
	local = vne_socket_local6(sk);
	if (!vne_is_none(local) && !vne_is_same(local, vne_address4(0)))
		return vne_is_foreign(&local) ? vne_guard_refuse(ctx, VNE_HOOK_CONNECT, VNE_REASON_SOURCE, &local) : 1;
	instead = vne_guard_address(remote);
	if (vne_is_none(instead) || !vne_is_application_space(&remote))
		return 1;
	vne_address_words_be(instead, source.sin6_addr.in6_u.u6_addr32);
	return bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source)) ? vne_guard_without_source(ctx, &remote) : 1;
}

/* ------------------------------------------------------------------ sending */

/* The kernel gives a datagram to an application that one's address as its source, and so its answer that destination.
 */
static __always_inline void vne_remember_asked(struct bpf_sock_addr *ctx, struct vne_address remote)
{
	struct bpf_sock *sk = ctx->sk;
	struct vne_asked *last;

	if (!sk || !bpf_map_lookup_elem(&owner, &remote))
		return;
	last = bpf_sk_storage_get(&asked, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!last)
		return;
	last->remote = remote;
	last->port = bpf_ntohs(ctx->user_port);
}

SEC("cgroup/sendmsg4")
int vne_g_send4(struct bpf_sock_addr *ctx)
{
	struct vne_address remote = vne_named4(ctx), source = vne_address4(bpf_ntohl(ctx->msg_src_ip4));

	if (vne_guard_passes(ctx))
		return 1;
	if ((__u32)source.low)
		return vne_is_foreign(&source) ? vne_guard_refuse(ctx, VNE_HOOK_SEND, VNE_REASON_SOURCE, &source) : 1;
	source = vne_guard_address(remote);
	if (vne_is_none(source))
		vne_remember_asked(ctx, remote);
	else if (vne_is_application_space(&remote) && !vne_caller_application())
		ctx->msg_src_ip4 = bpf_htonl(source.low);
	return 1;
}

SEC("cgroup/sendmsg6")
int vne_g_send6(struct bpf_sock_addr *ctx)
{
	struct vne_address remote = vne_named6(ctx), source;
	__be32 words[4];

	source = vne_address6(ctx->msg_src_ip6[0], ctx->msg_src_ip6[1], ctx->msg_src_ip6[2], ctx->msg_src_ip6[3]);
	if (vne_guard_passes(ctx))
		return 1;
	if (!vne_is_none(source))
		return vne_is_foreign(&source) ? vne_guard_refuse(ctx, VNE_HOOK_SEND, VNE_REASON_SOURCE, &source) : 1;
	source = vne_guard_address(remote);
	if (vne_is_none(source)) {
		vne_remember_asked(ctx, remote);
	} else if (vne_is_application_space(&remote) && !vne_caller_application()) {
		vne_address_words_be(source, words);
		ctx->msg_src_ip6[0] = words[0];
		ctx->msg_src_ip6[1] = words[1];
		ctx->msg_src_ip6[2] = words[2];
		ctx->msg_src_ip6[3] = words[3];
	}
	return 1;
}

/* ------------------------------------------------------------------ packets */

/* Whether a datagram comes from whom its socket is connected to, or asked last. */
static __always_inline int vne_was_asked(struct __sk_buff *skb, const struct vne_packet *packet)
{
	struct bpf_sock *sk = skb->sk;
	const struct vne_asked *last;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	if (sk->dst_port)
		return 1;
	last = bpf_sk_storage_get(&asked, sk, NULL, 0);
	return last && last->port == packet->source_port && vne_is_same(last->remote, packet->source);
}

/*
 * An answer to a process of the host: without a named address the kernel gives a call to an application that
 * application's address as its source. A SYN is no answer, nor is a datagram that was not asked for: an application
 * sends to its own address, too.
 */
static __always_inline int vne_answers_host(struct __sk_buff *skb, const struct vne_packet *packet)
{
	if (!vne_is_same(packet->source, packet->destination) || !vne_is_none(vne_guard_address(packet->destination)))
		return 0;
	return packet->protocol == VNE_UDP ? vne_was_asked(skb, packet) : !vne_packet_opens(packet);
}

/* Whether the packet is addressed to an application, and its socket is not that application's. */
static __always_inline int vne_is_for_another(struct __sk_buff *skb, const struct vne_packet *packet)
{
	struct vne_address destination = packet->destination;
	const struct vne_owner *owns;

	if (vne_is_in_pool(destination)) {
		const struct vne_application *record = vne_receiver_application(skb);

		return !record || !vne_has_loopback(record, destination);
	}
	owns = bpf_map_lookup_elem(&owner, &destination);
	return owns && bpf_skb_ancestor_cgroup_id(skb, owns->level) != owns->cgroup && !vne_answers_host(skb, packet);
}

static __always_inline int vne_is_elsewhere(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	return sk && bpf_sk_storage_get(&elsewhere, sk, NULL, 0);
}

SEC("cgroup_skb/ingress")
int vne_g_ingress(struct __sk_buff *skb)
{
	struct vne_packet packet = {};
	struct vne_event *event;

	/* Whatever the transport: the addresses are read first. */
	vne_packet_read(skb, &packet);
	if (!vne_is_for_another(skb, &packet) || vne_is_elsewhere(skb))
		return 1;
	event = vne_guard_counts(VNE_HOOK_INGRESS)
			? vne_guard_event(VNE_HOOK_INGRESS, VNE_REASON_NOT_ADDRESSED, &packet.destination)
			: NULL;
	if (event) {
		event->cgroup = bpf_skb_cgroup_id(skb);
		event->protocol = packet.protocol;
		event->remote = packet.source;
		event->remote_port = packet.source_port;
		event->local_port = packet.destination_port;
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}
