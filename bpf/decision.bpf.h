/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The decision: may this application talk to that peer? No hook and no context; the hooks fill a `vne_attempt`, and
 * bpf/tests runs the same functions on random ones. The reference is Policy.verdict in Sources/PolicyModel, and the
 * property tests hold this file to it.
 */
#ifndef VNE_DECISION_BPF_H
#define VNE_DECISION_BPF_H

#include "flows.bpf.h"

#define VNE_TCP 6
#define VNE_UDP 17
#define VNE_ICMP 1
/* MPTCP's IPPROTO_…: TCP on the wire, of its own kind in sockets only. */
#define VNE_MPTCP 262

/* The interface that a packet of this host arrives on: the loopback device of every namespace has this index. */
#define VNE_LOOPBACK_INTERFACE 1

/* TCP: not a bare SYN. Datagrams: known to answer without a look at the flow table (a connected socket). */
#define VNE_ATTEMPT_ANSWERS 0x1
/* TCP: a SYN-ACK. */
#define VNE_ATTEMPT_ACCEPTS 0x2

/* One attempt, from the application's point of view. Addresses and ports in host byte order. */
struct vne_attempt {
	__u32 remote;
	__u16 remote_port;
	/* 0 where it is not known yet. Ping: the echo identifier. */
	__u16 local_port;
	/* VNE_TCP, VNE_UDP, VNE_ICMP. */
	__u32 protocol;
	__u32 flags;
	/* Where a packet arrived. */
	__u32 interface;
};

/* What a judgement rests on: looked up once, by every hook in the same way. */
struct vne_judge {
	struct vne_attachment *application;
	struct vne_image image;
	const struct vne_environment *environment;
};

static __always_inline __u32 vne_protocol_bit(__u32 protocol)
{
	switch (protocol) {
	case VNE_TCP:
		return VNE_PROTOCOL_TCP;
	case VNE_UDP:
		return VNE_PROTOCOL_UDP;
	case VNE_ICMP:
		return VNE_PROTOCOL_PING;
	default:
		return 0;
	}
}

/* Whether the address lies in the own environment's only prefix: by its mask, without a look at any table. */
static __always_inline int vne_in_own_prefix(const struct vne_judge *judge, __u32 address)
{
	const struct vne_environment *own = judge->environment;

	return own->flags & VNE_ENVIRONMENT_ONE_PREFIX && (address & own->own_mask) == own->own_network;
}

/* The peer's entry in the owner table. */
static __always_inline __u32 vne_owner_entry(struct vne_judge *judge, __u32 address)
{
	return vne_image_open(&judge->image) ? vne_image_owner(&judge->image, address) : VNE_ENTRY_UNREADABLE;
}

/* Whether the environment, as the policy has it now, still holds the application's address. */
static __always_inline int vne_holds_application(struct vne_judge *judge)
{
	__u32 entry, kind;

	if (judge->environment->flags & VNE_ENVIRONMENT_ONE_PREFIX)
		return vne_in_own_prefix(judge, judge->application->address);
	entry = vne_owner_entry(judge, judge->application->address);
	kind = vne_entry_kind(entry);
	return (kind == VNE_ENTRY_ENVIRONMENT || kind == VNE_ENTRY_RESERVED) &&
	       vne_entry_index(entry) == judge->application->environment;
}

/* Finds policy and environment of the application; 0, which denies, if anything is missing. */
static __always_inline int vne_judge_prepare(struct vne_judge *judge, struct vne_attachment *application)
{
	judge->application = application;
	judge->environment = NULL;
	if (application->state != VNE_ATTACHMENT_OPEN)
		return 0;
	if (!vne_image_current(&judge->image))
		return 0;
	judge->environment = vne_image_environment(&judge->image, application->environment);
	return judge->environment && vne_holds_application(judge);
}

static __always_inline int vne_speaks(const struct vne_judge *judge, __u32 protocol)
{
	return !!(judge->environment->protocols & vne_protocol_bit(protocol));
}

static __always_inline __u64 vne_attempt_key(const struct vne_attempt *attempt)
{
	return vne_flow_key(attempt->remote, attempt->protocol == VNE_ICMP ? 0 : attempt->remote_port,
			    attempt->local_port);
}

/* Whether a datagram answers a flow of the table. TCP never does: its flags tell. */
static __always_inline int vne_answers_flow(const struct vne_judge *judge, const struct vne_attempt *attempt,
					    __u32 incoming)
{
	return attempt->flags & VNE_ATTEMPT_ANSWERS ||
	       (attempt->protocol != VNE_TCP &&
		vne_flow_known(judge->application, judge->image.header, vne_attempt_key(attempt), incoming));
}

static __always_inline int vne_host_reason(const struct vne_judge *judge)
{
	return judge->environment->flags & VNE_ENVIRONMENT_HOST ? VNE_REASON_HOST : VNE_REASON_HOST_DENIED;
}

static __always_inline int vne_link_local_reason(const struct vne_judge *judge)
{
	return judge->environment->flags & VNE_ENVIRONMENT_LINK_LOCAL ? VNE_REASON_LINK_LOCAL
								      : VNE_REASON_LINK_LOCAL_DENIED;
}

/* To another environment: by a permit, or as the answer to a flow that one let in. */
static __always_inline int vne_outgoing_other(const struct vne_judge *judge, const struct vne_attempt *attempt,
					      __u32 other)
{
	const struct vne_attachment *application = judge->application;

	if (vne_image_permits_flow(&judge->image, application->environment, other, attempt->remote, attempt->protocol,
				   attempt->remote_port))
		return VNE_REASON_PERMIT;
	if (!vne_answers_flow(judge, attempt, VNE_FLOW_INCOMING))
		return VNE_REASON_OTHER_ENVIRONMENT;
	if (attempt->protocol == VNE_TCP && !vne_image_permits_flow(&judge->image, other, application->environment,
								    application->address, VNE_TCP, attempt->local_port))
		return VNE_REASON_OTHER_ENVIRONMENT;
	return VNE_REASON_ANSWER;
}

static __always_inline int vne_outgoing_remote(const struct vne_judge *judge, const struct vne_attempt *attempt)
{
	if (vne_image_remote_allows(&judge->image, judge->environment->remote_out, attempt->remote, attempt->protocol,
				    attempt->remote_port))
		return VNE_REASON_REMOTE;
	if (!vne_answers_flow(judge, attempt, VNE_FLOW_INCOMING))
		return VNE_REASON_REMOTE_DENIED;
	if (attempt->protocol == VNE_TCP && !vne_image_remote_allows(&judge->image, judge->environment->remote_in,
								     attempt->remote, VNE_TCP, attempt->local_port))
		return VNE_REASON_REMOTE_DENIED;
	return VNE_REASON_ANSWER;
}

/* The outgoing decision: a connect, a send, a packet at egress. */
static __always_inline int vne_decide_outgoing(struct vne_judge *judge, const struct vne_attempt *attempt)
{
	__u32 entry;

	if (!vne_speaks(judge, attempt->protocol))
		return VNE_REASON_PROTOCOL;
	if (vne_in_own_prefix(judge, attempt->remote))
		return VNE_REASON_OWN_ENVIRONMENT;
	entry = vne_owner_entry(judge, attempt->remote);
	switch (vne_entry_kind(entry)) {
	case VNE_ENTRY_ENVIRONMENT:
	case VNE_ENTRY_RESERVED:
		if (vne_entry_index(entry) == judge->application->environment)
			return VNE_REASON_OWN_ENVIRONMENT;
		return vne_outgoing_other(judge, attempt, vne_entry_index(entry));
	case VNE_ENTRY_REMOTE:
		return vne_outgoing_remote(judge, attempt);
	case VNE_ENTRY_HOST:
		return vne_host_reason(judge);
	case VNE_ENTRY_LOOPBACK:
		return attempt->protocol != VNE_ICMP &&
				       vne_image_shares(&judge->image, attempt->remote, attempt->remote_port)
			       ? VNE_REASON_RESOLVER
			       : VNE_REASON_LOOPBACK;
	case VNE_ENTRY_LINK_LOCAL:
		return vne_link_local_reason(judge);
	case VNE_ENTRY_MULTICAST:
		return VNE_REASON_MULTICAST;
	case VNE_ENTRY_BROADCAST:
		return VNE_REASON_BROADCAST;
	case VNE_ENTRY_UNASSIGNED:
		return VNE_REASON_UNASSIGNED;
	default:
		return VNE_REASON_UNCONFIGURED;
	}
}

/* From another environment: by a permit, or as the answer to a flow that one let out. */
static __always_inline int vne_incoming_other(const struct vne_judge *judge, const struct vne_attempt *attempt,
					      __u32 other)
{
	const struct vne_attachment *application = judge->application;

	if (vne_image_permits_flow(&judge->image, other, application->environment, application->address,
				   attempt->protocol, attempt->protocol == VNE_ICMP ? 0 : attempt->local_port))
		return VNE_REASON_PERMIT;
	if (vne_image_permits_flow(&judge->image, application->environment, other, attempt->remote, attempt->protocol,
				   attempt->remote_port) &&
	    vne_answers_flow(judge, attempt, 0))
		return VNE_REASON_ANSWER;
	return VNE_REASON_OTHER_ENVIRONMENT;
}

static __always_inline int vne_incoming_remote(const struct vne_judge *judge, const struct vne_attempt *attempt)
{
	if (vne_image_remote_allows(&judge->image, judge->environment->remote_in, attempt->remote, attempt->protocol,
				    attempt->protocol == VNE_ICMP ? 0 : attempt->local_port))
		return VNE_REASON_REMOTE;
	if (vne_image_remote_allows(&judge->image, judge->environment->remote_out, attempt->remote, attempt->protocol,
				    attempt->remote_port) &&
	    vne_answers_flow(judge, attempt, 0))
		return VNE_REASON_ANSWER;
	return VNE_REASON_REMOTE_DENIED;
}

/*
 * The incoming decision, for a packet to the application's address. A source in the address space is believed only
 * from where the address space is carried. Over loopback the sender is taken for the one that has the address; see
 * vne_sender_matters().
 */
static __always_inline int vne_decide_incoming(struct vne_judge *judge, const struct vne_attempt *attempt)
{
	int this_host = attempt->interface == VNE_LOOPBACK_INTERFACE;
	__u32 entry, kind;

	if (!vne_speaks(judge, attempt->protocol))
		return VNE_REASON_PROTOCOL;
	if (this_host && vne_in_own_prefix(judge, attempt->remote))
		return VNE_REASON_OWN_ENVIRONMENT;
	entry = vne_owner_entry(judge, attempt->remote);
	kind = vne_entry_kind(entry);
	switch (kind) {
	case VNE_ENTRY_ENVIRONMENT:
	case VNE_ENTRY_RESERVED:
	case VNE_ENTRY_UNASSIGNED:
		if (!this_host && !vne_image_believes(&judge->image, attempt->interface))
			return VNE_REASON_FORGED;
		if (kind == VNE_ENTRY_UNASSIGNED)
			return VNE_REASON_UNASSIGNED;
		if (vne_entry_index(entry) == judge->application->environment)
			return VNE_REASON_OWN_ENVIRONMENT;
		return vne_incoming_other(judge, attempt, vne_entry_index(entry));
	case VNE_ENTRY_REMOTE:
		/* An address that the host got after the policy was published. */
		return this_host ? vne_host_reason(judge) : vne_incoming_remote(judge, attempt);
	case VNE_ENTRY_HOST:
		return this_host ? vne_host_reason(judge) : VNE_REASON_FORGED;
	case VNE_ENTRY_LOOPBACK:
		if (!this_host)
			return VNE_REASON_FORGED;
		if (vne_image_shares(&judge->image, attempt->remote, attempt->remote_port) &&
		    (attempt->protocol == VNE_UDP ||
		     (attempt->protocol == VNE_TCP && attempt->flags & VNE_ATTEMPT_ANSWERS)))
			return VNE_REASON_RESOLVER;
		return vne_host_reason(judge);
	case VNE_ENTRY_LINK_LOCAL:
		return this_host ? vne_host_reason(judge) : vne_link_local_reason(judge);
	case VNE_ENTRY_MULTICAST:
	case VNE_ENTRY_BROADCAST:
		return VNE_REASON_MALFORMED;
	default:
		return VNE_REASON_UNCONFIGURED;
	}
}

/*
 * Whether it makes a difference who sent a packet of this host that claims a source in the address space. A process
 * that is not the application with that address is judged as the host, so the sender is looked up only where that gives
 * another verdict. A SYN-ACK always matters, as a daemon of the host never answers on an application address. A later
 * segment of TCP belongs to a handshake that was judged, so only what would lift a denial matters. An echo reply has no
 * sender but the kernel.
 */
static __always_inline int vne_sender_matters(const struct vne_judge *judge, const struct vne_attempt *attempt,
					      int reason)
{
	int allowed = reason < VNE_REASON_FIRST_DENIAL, host = !!(judge->environment->flags & VNE_ENVIRONMENT_HOST);

	if (attempt->interface != VNE_LOOPBACK_INTERFACE || attempt->protocol == VNE_ICMP)
		return 0;
	if (reason != VNE_REASON_OWN_ENVIRONMENT && reason != VNE_REASON_PERMIT && reason != VNE_REASON_ANSWER &&
	    reason != VNE_REASON_OTHER_ENVIRONMENT && reason != VNE_REASON_UNASSIGNED)
		return 0;
	if (attempt->protocol == VNE_TCP && attempt->flags & VNE_ATTEMPT_ACCEPTS)
		return allowed;
	if (attempt->protocol == VNE_TCP && attempt->flags & VNE_ATTEMPT_ANSWERS)
		return !allowed && host;
	return allowed != host;
}

/* The decision about a packet whose sender does not have the address that it claims. */
static __always_inline int vne_foreign_sender_reason(const struct vne_judge *judge, const struct vne_attempt *attempt)
{
	return attempt->protocol == VNE_TCP && attempt->flags & VNE_ATTEMPT_ACCEPTS ? VNE_REASON_FORGED
										    : vne_host_reason(judge);
}

/* Remembers a datagram flow that was let through, where its answers would not be let through anyway. */
static __always_inline void vne_remember_flow(const struct vne_judge *judge, const struct vne_attempt *attempt,
					      int reason, __u32 incoming)
{
	__u32 back = incoming ? judge->environment->remote_out : judge->environment->remote_in;

	if (attempt->protocol == VNE_TCP || !attempt->local_port)
		return;
	if (reason == VNE_REASON_PERMIT ||
	    (reason == VNE_REASON_REMOTE && back != (VNE_ENTRY_RULES << VNE_ENTRY_SHIFT | VNE_RULES_ALLOW_ALL)))
		vne_flow_record(judge->application, vne_attempt_key(attempt), incoming);
}

#endif
