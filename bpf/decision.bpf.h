/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The decision: may this application talk to that peer? No hook and no context; the hooks fill a `vne_attempt`, and
 * bpf/tests runs the same functions on random ones. The reference is Policy.verdict in Sources/PolicyModel, and the
 * property tests hold this file to it.
 */
#ifndef VNE_DECISION_BPF_H
#define VNE_DECISION_BPF_H

#include "flows.bpf.h"
#include "known.bpf.h"

/* The interface that a packet of this host arrives on: the loopback device of every namespace has this index. */
#define VNE_LOOPBACK_INTERFACE 1

/* TCP: not a bare SYN. Datagrams: known to answer without a look at the flow table (a connected socket). */
#define VNE_ATTEMPT_ANSWERS 0x1
/* TCP: a SYN-ACK. */
#define VNE_ATTEMPT_ACCEPTS 0x2
/* A call to loopback: a socket of the application's own takes it. */
#define VNE_ATTEMPT_LISTENS 0x4
/* The remote is what the kernel sees, not what a program asked for: its loopback addresses are translated already. */
#define VNE_ATTEMPT_TRANSLATED 0x8

/* One attempt, from the application's point of view. Addresses and ports in host byte order. */
struct vne_attempt {
	struct vne_address remote;
	__u16 remote_port;
	/* 0 where it is not known yet. Ping: the echo identifier. */
	__u16 local_port;
	/* VNE_TCP, VNE_UDP; VNE_ICMP for both families' ping. */
	__u32 protocol;
	__u32 flags;
	/* Where a packet arrived: VNE_LOOPBACK_INTERFACE for whatever this host sent. */
	__u32 interface;
};

/* What a judgement rests on: looked up once, by every hook in the same way. */
struct vne_judge {
	struct vne_attachment *application;
	struct vne_image image;
	const struct vne_environment *environment;
};

/* The peer's entry in the owner table. */
static __always_inline __u32 vne_owner_entry(struct vne_judge *judge, const struct vne_address *address)
{
	return vne_image_open(&judge->image) ? vne_image_owner(&judge->image, address) : VNE_ENTRY_UNREADABLE;
}

/* Whether an address is the own environment's by the owner table. */
static __noinline int vne_is_assigned(struct vne_judge *judge, const struct vne_address *address)
{
	__u32 entry = vne_owner_entry(judge, address), kind = vne_entry_kind(entry);

	return (kind == VNE_ENTRY_ENVIRONMENT || kind == VNE_ENTRY_RESERVED) &&
	       vne_entry_index(entry) == judge->application->environment;
}

/* Whether the environment, as the policy has it now, still holds every address of the application. */
static __always_inline int vne_holds_application(struct vne_judge *judge)
{
	struct vne_address ipv4 = vne_address4(judge->application->identity.address4);
	struct vne_address ipv6 = judge->application->identity.address6;
	int has4 = !!judge->application->identity.address4, has6 = !vne_is_none(ipv6);

	if (has4 && !vne_in_own_prefix(&judge->environment->own, ipv4) && !vne_is_assigned(judge, &ipv4))
		return 0;
	if (has6 && !vne_in_own_prefix(&judge->environment->own, ipv6) && !vne_is_assigned(judge, &ipv6))
		return 0;
	return has4 | has6;
}

/* Whether the application may send to and hear groups: with datagrams, where its environment says so. */
static __always_inline int vne_takes_groups(const struct vne_judge *judge, __u32 protocol)
{
	return protocol == VNE_UDP && judge->environment->own.flags & VNE_ENVIRONMENT_MULTICAST;
}

/* Whether an address stands for many: a multicast group or a broadcast. */
static __noinline int vne_is_group(struct vne_judge *judge, const struct vne_address *address)
{
	__u32 kind = vne_entry_kind(vne_owner_entry(judge, address));

	return kind == VNE_ENTRY_MULTICAST || kind == VNE_ENTRY_BROADCAST;
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

static __always_inline struct vne_flow vne_attempt_flow(const struct vne_attempt *attempt)
{
	struct vne_flow flow = { .remote = attempt->remote };

	flow.ports = (attempt->protocol == VNE_ICMP ? 0 : (__u32)attempt->remote_port << 16) | attempt->local_port;
	return flow;
}

/* Whether a datagram answers a flow of the table. TCP never does: its flags tell. */
static __always_inline int vne_answers_flow(const struct vne_judge *judge, const struct vne_attempt *attempt,
					    __u32 incoming)
{
	struct vne_flow flow = vne_attempt_flow(attempt);

	return attempt->flags & VNE_ATTEMPT_ANSWERS ||
	       (attempt->protocol != VNE_TCP &&
		vne_flow_known(judge->application, judge->image.header, &flow, incoming));
}

static __always_inline int vne_host_reason(const struct vne_judge *judge)
{
	return judge->environment->own.flags & VNE_ENVIRONMENT_HOST ? VNE_REASON_HOST : VNE_REASON_HOST_DENIED;
}

static __always_inline int vne_link_local_reason(const struct vne_judge *judge)
{
	return judge->environment->own.flags & VNE_ENVIRONMENT_LINK_LOCAL ? VNE_REASON_LINK_LOCAL
									  : VNE_REASON_LINK_LOCAL_DENIED;
}

/* To another environment: by a permit, or as the answer to a flow that one let in. */
static __always_inline int vne_outgoing_other(const struct vne_judge *judge, const struct vne_attempt *attempt,
					      __u32 other)
{
	const struct vne_attachment *application = judge->application;
	struct vne_address own = vne_own_address(&application->identity, attempt->remote);

	if (vne_image_permits_flow(&judge->image, application->environment, other, &attempt->remote, attempt->protocol,
				   attempt->remote_port))
		return VNE_REASON_PERMIT;
	if (!vne_answers_flow(judge, attempt, VNE_FLOW_INCOMING))
		return VNE_REASON_OTHER_ENVIRONMENT;
	if (attempt->protocol == VNE_TCP &&
	    !vne_image_permits_flow(&judge->image, other, application->environment, &own, VNE_TCP, attempt->local_port))
		return VNE_REASON_OTHER_ENVIRONMENT;
	return VNE_REASON_ANSWER;
}

static __always_inline int vne_outgoing_remote(const struct vne_judge *judge, const struct vne_attempt *attempt)
{
	const struct vne_environment *own = judge->environment;
	int ipv4 = vne_is_ipv4(attempt->remote);

	if (vne_image_remote_allows(&judge->image, ipv4 ? own->remote_out4 : own->remote_out6, &attempt->remote,
				    attempt->protocol, attempt->remote_port))
		return VNE_REASON_REMOTE;
	if (!vne_answers_flow(judge, attempt, VNE_FLOW_INCOMING))
		return VNE_REASON_REMOTE_DENIED;
	if (attempt->protocol == VNE_TCP &&
	    !vne_image_remote_allows(&judge->image, ipv4 ? own->remote_in4 : own->remote_in6, &attempt->remote, VNE_TCP,
				     attempt->local_port))
		return VNE_REASON_REMOTE_DENIED;
	return VNE_REASON_ANSWER;
}

/* Whether the peer is a loopback service that all applications share. */
static __always_inline int vne_is_shared(struct vne_judge *judge, const struct vne_attempt *attempt)
{
	return attempt->protocol != VNE_ICMP && vne_image_open(&judge->image) &&
	       vne_image_shares(&judge->image, &attempt->remote, attempt->remote_port);
}

/* Loopback: a shared service, or what is the application's own there; never a daemon of the host. */
static __always_inline int vne_outgoing_loopback(struct vne_judge *judge, const struct vne_attempt *attempt)
{
	const struct vne_attachment *application = judge->application;

	if (vne_is_shared(judge, attempt))
		return VNE_REASON_SHARED;
	if (attempt->flags & VNE_ATTEMPT_TRANSLATED)
		return vne_is_own_loopback(&application->identity, attempt->remote) ? VNE_REASON_OWN_LOOPBACK
										    : VNE_REASON_LOOPBACK;
	if (vne_is_none(vne_own_loopback(&application->identity, attempt->remote)))
		return VNE_REASON_LOOPBACK;
	return attempt->protocol == VNE_ICMP || attempt->flags & VNE_ATTEMPT_LISTENS ? VNE_REASON_OWN_LOOPBACK
										     : VNE_REASON_LOOPBACK;
}

/* Whether an attempt is to loopback, by its name or, where that is translated, by what it stands for. */
static __always_inline int vne_is_to_loopback(const struct vne_identity *identity, const struct vne_attempt *attempt)
{
	return vne_is_loopback(attempt->remote) ||
	       (attempt->flags & VNE_ATTEMPT_TRANSLATED && vne_is_own_loopback(identity, attempt->remote));
}

/* Whether an attempt is to the own environment, where that needs no look-up. */
static __always_inline int vne_goes_inside(const struct vne_identity *identity, const struct vne_own *own,
					   const struct vne_attempt *attempt)
{
	return vne_speaks(own, attempt->protocol) && !vne_is_to_loopback(identity, attempt) &&
	       !vne_is_none(vne_own_address(identity, attempt->remote)) && vne_in_own_prefix(own, attempt->remote);
}

/* The outgoing decision: a connect, a send, a packet at egress. */
static __always_inline int vne_decide_outgoing(struct vne_judge *judge, const struct vne_attempt *attempt)
{
	__u32 entry;

	if (vne_goes_inside(&judge->application->identity, &judge->environment->own, attempt))
		return VNE_REASON_OWN_ENVIRONMENT;
	if (!vne_speaks(&judge->environment->own, attempt->protocol))
		return VNE_REASON_PROTOCOL;
	if (vne_is_to_loopback(&judge->application->identity, attempt))
		return vne_outgoing_loopback(judge, attempt);
	if (vne_is_none(vne_own_address(&judge->application->identity, attempt->remote)))
		return VNE_REASON_NO_FAMILY;
	entry = vne_owner_entry(judge, &attempt->remote);
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
		return VNE_REASON_LOOPBACK;
	case VNE_ENTRY_LINK_LOCAL:
		return vne_link_local_reason(judge);
	case VNE_ENTRY_MULTICAST:
		return vne_takes_groups(judge, attempt->protocol) ? VNE_REASON_GROUP : VNE_REASON_MULTICAST;
	case VNE_ENTRY_BROADCAST:
		return vne_takes_groups(judge, attempt->protocol) ? VNE_REASON_GROUP : VNE_REASON_BROADCAST;
	case VNE_ENTRY_UNASSIGNED:
		return VNE_REASON_UNASSIGNED;
	default:
		return VNE_REASON_UNCONFIGURED;
	}
}

/* Whether a packet leaves for the own environment from the application address, where that needs no look-up. */
static __always_inline int vne_leaves_inside(const struct vne_identity *identity, const struct vne_own *own,
					     const struct vne_attempt *attempt, struct vne_address source)
{
	return vne_is_ipv4(source) == vne_is_ipv4(attempt->remote) && vne_is_own_address(identity, source) &&
	       vne_goes_inside(identity, own, attempt);
}

/*
 * The decision about a packet that leaves: its source must be the application address, or both ends what only the
 * application has.
 */
static __always_inline int vne_decide_leaving(struct vne_judge *judge, const struct vne_attempt *attempt,
					      struct vne_address source)
{
	const struct vne_attachment *application = judge->application;

	if (vne_leaves_inside(&application->identity, &judge->environment->own, attempt, source))
		return VNE_REASON_OWN_ENVIRONMENT;
	if (!vne_speaks(&judge->environment->own, attempt->protocol))
		return VNE_REASON_PROTOCOL;
	if (vne_is_ipv4(source) != vne_is_ipv4(attempt->remote))
		return VNE_REASON_SOURCE;
	if (vne_is_own_loopback(&application->identity, source)) {
		if (vne_is_own(&application->identity, attempt->remote))
			return VNE_REASON_OWN_LOOPBACK;
		return vne_is_shared(judge, attempt) ? VNE_REASON_SHARED : VNE_REASON_SOURCE;
	}
	return vne_is_own_address(&application->identity, source) ? vne_decide_outgoing(judge, attempt)
								  : VNE_REASON_SOURCE;
}

/* From another environment: by a permit, or as the answer to a flow that one let out. */
static __always_inline int vne_incoming_other(const struct vne_judge *judge, const struct vne_attempt *attempt,
					      __u32 other)
{
	const struct vne_attachment *application = judge->application;
	struct vne_address own = vne_own_address(&application->identity, attempt->remote);

	if (vne_image_permits_flow(&judge->image, other, application->environment, &own, attempt->protocol,
				   attempt->protocol == VNE_ICMP ? 0 : attempt->local_port))
		return VNE_REASON_PERMIT;
	if (vne_image_permits_flow(&judge->image, application->environment, other, &attempt->remote, attempt->protocol,
				   attempt->remote_port) &&
	    vne_answers_flow(judge, attempt, 0))
		return VNE_REASON_ANSWER;
	return VNE_REASON_OTHER_ENVIRONMENT;
}

static __always_inline int vne_incoming_remote(const struct vne_judge *judge, const struct vne_attempt *attempt)
{
	const struct vne_environment *own = judge->environment;
	int ipv4 = vne_is_ipv4(attempt->remote);

	if (vne_image_remote_allows(&judge->image, ipv4 ? own->remote_in4 : own->remote_in6, &attempt->remote,
				    attempt->protocol, attempt->protocol == VNE_ICMP ? 0 : attempt->local_port))
		return VNE_REASON_REMOTE;
	if (vne_image_remote_allows(&judge->image, ipv4 ? own->remote_out4 : own->remote_out6, &attempt->remote,
				    attempt->protocol, attempt->remote_port) &&
	    vne_answers_flow(judge, attempt, 0))
		return VNE_REASON_ANSWER;
	return VNE_REASON_REMOTE_DENIED;
}

/* Whether a packet is the answer of a loopback service that all applications share. */
static __always_inline int vne_is_shared_answer(struct vne_judge *judge, const struct vne_attempt *attempt)
{
	return (attempt->protocol == VNE_UDP || attempt->flags & VNE_ATTEMPT_ANSWERS) && vne_is_shared(judge, attempt);
}

/* To the own loopback: from what only the application has, or the answer of a shared service. */
static __always_inline int vne_incoming_loopback(struct vne_judge *judge, const struct vne_attempt *attempt)
{
	if (!vne_speaks(&judge->environment->own, attempt->protocol))
		return VNE_REASON_PROTOCOL;
	if (attempt->interface != VNE_LOOPBACK_INTERFACE)
		return VNE_REASON_LOOPBACK;
	if (vne_is_own(&judge->application->identity, attempt->remote))
		return VNE_REASON_OWN_LOOPBACK;
	return vne_is_shared_answer(judge, attempt) ? VNE_REASON_SHARED : VNE_REASON_LOOPBACK;
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

	if (!vne_speaks(&judge->environment->own, attempt->protocol))
		return VNE_REASON_PROTOCOL;
	if (this_host && vne_in_own_prefix(&judge->environment->own, attempt->remote))
		return VNE_REASON_OWN_ENVIRONMENT;
	if (vne_is_own_loopback(&judge->application->identity, attempt->remote))
		return this_host ? VNE_REASON_OWN_LOOPBACK : VNE_REASON_FORGED;
	entry = vne_owner_entry(judge, &attempt->remote);
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
		return vne_is_shared_answer(judge, attempt) ? VNE_REASON_SHARED : vne_host_reason(judge);
	case VNE_ENTRY_LINK_LOCAL:
		return this_host ? vne_host_reason(judge) : vne_link_local_reason(judge);
	case VNE_ENTRY_MULTICAST:
	case VNE_ENTRY_BROADCAST:
		return VNE_REASON_MALFORMED;
	default:
		return VNE_REASON_UNCONFIGURED;
	}
}

/* Whether a datagram may come to the application by a group, whoever sent it. Nobody's loopback is a source there. */
static __always_inline int vne_group_refusal(struct vne_judge *judge, const struct vne_attempt *attempt,
					     const struct vne_address *group)
{
	if (!vne_takes_groups(judge, attempt->protocol) || vne_is_ipv4(*group) != vne_is_ipv4(attempt->remote) ||
	    vne_is_none(vne_own_address(&judge->application->identity, attempt->remote)) || !vne_is_group(judge, group))
		return VNE_REASON_NOT_ADDRESSED;
	return vne_is_own_loopback(&judge->application->identity, attempt->remote) ? VNE_REASON_FORGED
										   : VNE_REASON_PERMITTED_USE;
}

/* Whether a packet arrives from the own environment on this host at the application address, where that needs no
 * look-up. */
static __always_inline int vne_arrives_inside(const struct vne_identity *identity, const struct vne_own *own,
					      const struct vne_attempt *attempt, struct vne_address destination)
{
	return attempt->interface == VNE_LOOPBACK_INTERFACE && vne_speaks(own, attempt->protocol) &&
	       vne_is_own_address(identity, destination) && vne_in_own_prefix(own, attempt->remote);
}

/* The decision about a packet that arrives: rule by rule, where in the application it goes. */
static __always_inline int vne_decide_arriving(struct vne_judge *judge, const struct vne_attempt *attempt,
					       struct vne_address destination)
{
	if (vne_arrives_inside(&judge->application->identity, &judge->environment->own, attempt, destination))
		return VNE_REASON_OWN_ENVIRONMENT;
	if (vne_is_own_loopback(&judge->application->identity, destination))
		return vne_incoming_loopback(judge, attempt);
	if (!vne_is_own_address(&judge->application->identity, destination)) {
		int refusal = vne_group_refusal(judge, attempt, &destination);

		if (refusal != VNE_REASON_PERMITTED_USE)
			return refusal;
	}
	return vne_decide_incoming(judge, attempt);
}

/*
 * Whether it makes a difference who sent a packet of this host that claims a source in the address space. A process
 * that is not the application with that address is judged as the host, so the sender is looked up only where that gives
 * another verdict. A SYN-ACK always matters, as a daemon of the host never answers on an application address. A later
 * segment of TCP belongs to a handshake that was judged, so only what would lift a denial matters. An echo reply has no
 * sender but the kernel. On the own loopback nobody but the application itself is let in, not even the host. The sender
 * of a group's datagram may not be found, so one whose address denies it is denied.
 */
static __always_inline int vne_sender_matters(const struct vne_identity *identity, const struct vne_own *own,
					      const struct vne_attempt *attempt, int reason,
					      struct vne_address destination)
{
	int allowed = reason < VNE_REASON_FIRST_DENIAL, host = !!(own->flags & VNE_ENVIRONMENT_HOST);

	if (attempt->interface != VNE_LOOPBACK_INTERFACE || attempt->protocol == VNE_ICMP)
		return 0;
	if (reason == VNE_REASON_OWN_LOOPBACK)
		return attempt->protocol != VNE_TCP || !(attempt->flags & VNE_ATTEMPT_ANSWERS) ||
		       attempt->flags & VNE_ATTEMPT_ACCEPTS;
	if (reason != VNE_REASON_OWN_ENVIRONMENT && reason != VNE_REASON_PERMIT && reason != VNE_REASON_ANSWER &&
	    reason != VNE_REASON_OTHER_ENVIRONMENT && reason != VNE_REASON_UNASSIGNED)
		return 0;
	if (!vne_is_own(identity, destination))
		return allowed && !host;
	if (attempt->protocol == VNE_TCP && attempt->flags & VNE_ATTEMPT_ACCEPTS)
		return allowed;
	if (attempt->protocol == VNE_TCP && attempt->flags & VNE_ATTEMPT_ANSWERS)
		return !allowed && host;
	return allowed != host;
}

/* What a packet is to its receiver, as far as that makes a difference inside an environment. */
enum vne_packet_kind {
	VNE_KIND_DATAGRAM,
	VNE_KIND_OPENS,
	VNE_KIND_ACCEPTS,
	VNE_KIND_SEGMENT,
	VNE_KINDS,
};

/* Whether a packet of a kind is let in from inside, whoever sent it; one that accepts has to be vouched for. */
static __always_inline __u32 vne_kind_inside(const struct vne_identity *identity, const struct vne_own *own,
					     struct vne_address destination, enum vne_packet_kind kind)
{
	struct vne_attempt attempt = {
		.protocol = kind == VNE_KIND_DATAGRAM ? VNE_UDP : VNE_TCP,
		.flags = kind == VNE_KIND_SEGMENT ? VNE_ATTEMPT_ANSWERS : 0,
		.interface = VNE_LOOPBACK_INTERFACE,
	};

	if (!vne_speaks(own, attempt.protocol))
		return 0;
	return (kind == VNE_KIND_ACCEPTS ||
		!vne_sender_matters(identity, own, &attempt, VNE_REASON_OWN_ENVIRONMENT, destination))
	       << kind;
}

/* The kinds that are. To the application address of either family it is the same. */
static __always_inline __u32 vne_kinds_inside(const struct vne_identity *identity, const struct vne_own *own)
{
	struct vne_address own4 = vne_address4(identity->address4);
	struct vne_address destination = identity->address4 ? own4 : identity->address6;

	return vne_kind_inside(identity, own, destination, VNE_KIND_DATAGRAM) |
	       vne_kind_inside(identity, own, destination, VNE_KIND_OPENS) |
	       vne_kind_inside(identity, own, destination, VNE_KIND_ACCEPTS) |
	       vne_kind_inside(identity, own, destination, VNE_KIND_SEGMENT);
}

static __noinline void vne_remember(struct vne_counters *here, const struct vne_attachment *application,
				    const struct vne_environment *environment, __u32 epoch)
{
	const struct vne_identity *identity = &application->identity;
	const struct vne_own *own = &environment->own;

	vne_know(here, identity, own, vne_kinds_inside(identity, own), epoch);
}

/* Finds policy and environment of the application whose hook this is, which its CPU then knows. */
static __always_inline int vne_judge_prepare_here(struct vne_judge *judge)
{
	struct vne_counters *here = vne_here();
	__u32 epoch = vne_epoch_to_know(here);

	if (!vne_judge_prepare(judge, bpf_get_local_storage(&attachment, 0)))
		return 0;
	if (epoch)
		vne_remember(here, judge->application, judge->environment, epoch);
	return 1;
}

/* Whose the socket is that sent a packet of this host. */
enum vne_sender {
	/* The application's that has the packet's source. */
	VNE_SENDER_OWNER,
	/* Another one's, though it is bound to just that address. */
	VNE_SENDER_OTHER,
	/* None was found, or one that only shares the port. */
	VNE_SENDER_UNKNOWN,
};

/*
 * The decision about a packet that was judged `reason` by its source, once it is known who sent it. What is allowed
 * needs its owner. A denial is lifted only for a sender that is known to be somebody else: an application whose socket
 * can't be found, as it is connected elsewhere or behind a NAT rule, is not the host.
 */
static __always_inline int vne_reason_by_sender(const struct vne_judge *judge, const struct vne_attempt *attempt,
						int reason, struct vne_address destination, enum vne_sender sender)
{
	if (sender == VNE_SENDER_OWNER || (sender == VNE_SENDER_UNKNOWN && reason >= VNE_REASON_FIRST_DENIAL))
		return reason;
	if (reason == VNE_REASON_OWN_LOOPBACK)
		return vne_is_own_loopback(&judge->application->identity, destination) ? VNE_REASON_LOOPBACK
										       : VNE_REASON_FORGED;
	return attempt->protocol == VNE_TCP && attempt->flags & VNE_ATTEMPT_ACCEPTS ? VNE_REASON_FORGED
										    : vne_host_reason(judge);
}

/* Remembers a datagram flow that was let through, where its answers would not be let through anyway. */
static __always_inline void vne_remember_flow(const struct vne_judge *judge, const struct vne_attempt *attempt,
					      int reason, __u32 incoming)
{
	const struct vne_environment *own = judge->environment;
	int ipv4 = vne_is_ipv4(attempt->remote);
	__u32 back = incoming ? (ipv4 ? own->remote_out4 : own->remote_out6)
			      : (ipv4 ? own->remote_in4 : own->remote_in6);

	if (attempt->protocol == VNE_TCP || !attempt->local_port)
		return;
	if (reason == VNE_REASON_PERMIT ||
	    (reason == VNE_REASON_REMOTE && back != (VNE_ENTRY_RULES << VNE_ENTRY_SHIFT | VNE_RULES_ALLOW_ALL))) {
		struct vne_flow flow = vne_attempt_flow(attempt);

		vne_flow_record(judge->application, &flow, incoming);
	}
}

#endif
