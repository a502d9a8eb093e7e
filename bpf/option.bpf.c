/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Socket options, on applications whose environment asks for it only: the hook costs each setsockopt(). It is asked for
 * where groups are heard, and where a source route could reach somebody who is denied: where all packets are judged, or
 * where the host or a remote is out of reach.
 *
 * Refused with EPERM: source routes, by which a packet goes to another address than the one that was judged, and
 * encapsulation, whose packets are judged by the ingress hook when they come out. Refusals are counted as those of a
 * protocol; this kind of program has no clock, so no record limits its rate.
 *
 * A group of IPv4 that is joined on no particular interface is joined where the application address is, since that is
 * the interface by which the kernel sends to a group from a source that it is given.
 */
#include <bpf/bpf_endian.h>
#include <linux/in.h>
#include "address.bpf.h"
#include "maps.bpf.h"

#define VNE_SOL_IP 0
#define VNE_SOL_UDP 17
#define VNE_SOL_IPV6 41
#define VNE_IPV6_2292_ROUTING_HEADER 5
#define VNE_IPV6_2292_OPTIONS 6
#define VNE_IPV6_ROUTING_HEADER 57
#define VNE_UDP_ENCAPSULATION 100
/* The kernel shows no more than a page of an option; a longer one has to be left as it is. */
#define VNE_OPTION_MAX 4096

static __always_inline int vne_option_is_refused(const struct bpf_sockopt *ctx)
{
	switch (ctx->level) {
	case VNE_SOL_IP:
		return ctx->optname == IP_OPTIONS && ctx->optlen > 0;
	case VNE_SOL_IPV6:
		return (ctx->optname == VNE_IPV6_ROUTING_HEADER || ctx->optname == VNE_IPV6_2292_ROUTING_HEADER ||
			ctx->optname == VNE_IPV6_2292_OPTIONS) &&
		       ctx->optlen > 0;
	case VNE_SOL_UDP:
		return ctx->optname == VNE_UDP_ENCAPSULATION;
	default:
		return 0;
	}
}

/* The same request by address in place of one by interface number; 0 where there is none. */
static __always_inline __u32 vne_named_by_address(__u32 option)
{
	switch (option) {
	case MCAST_JOIN_GROUP:
		return IP_ADD_MEMBERSHIP;
	case MCAST_LEAVE_GROUP:
		return IP_DROP_MEMBERSHIP;
	case MCAST_JOIN_SOURCE_GROUP:
		return IP_ADD_SOURCE_MEMBERSHIP;
	case MCAST_LEAVE_SOURCE_GROUP:
		return IP_DROP_SOURCE_MEMBERSHIP;
	case MCAST_BLOCK_SOURCE:
		return IP_BLOCK_SOURCE;
	case MCAST_UNBLOCK_SOURCE:
		return IP_UNBLOCK_SOURCE;
	default:
		return 0;
	}
}

/* struct ip_mreq, ip_mreqn and ip_mreq_source: the interface's address comes second in each. */
static __always_inline void vne_option_join(struct bpf_sockopt *ctx, __be32 own)
{
	struct ip_mreqn *request = ctx->optval;

	if ((void *)(&request->imr_address + 1) > ctx->optval_end || request->imr_address.s_addr)
		return;
	if ((ctx->optname == IP_ADD_MEMBERSHIP || ctx->optname == IP_DROP_MEMBERSHIP) &&
	    (void *)(request + 1) <= ctx->optval_end && request->imr_ifindex)
		return;
	request->imr_address.s_addr = own;
}

/* struct group_req and group_source_req of IPv4 on no interface become requests by address. */
static __always_inline void vne_option_join_by_number(struct bpf_sockopt *ctx, __be32 own)
{
	__u32 option = vne_named_by_address(ctx->optname);
	struct group_req *request = ctx->optval;
	struct ip_mreq_source by_address = { .imr_interface = own };
	const struct sockaddr_in *group;

	if (!option || (void *)(request + 1) > ctx->optval_end || request->gr_interface)
		return;
	group = (const struct sockaddr_in *)&request->gr_group;
	if (group->sin_family != VNE_AF_INET)
		return;
	by_address.imr_multiaddr = group->sin_addr.s_addr;
	if (option != IP_ADD_MEMBERSHIP && option != IP_DROP_MEMBERSHIP) {
		const struct group_source_req *with_source = ctx->optval;

		if ((void *)(with_source + 1) > ctx->optval_end)
			return;
		by_address.imr_sourceaddr = ((const struct sockaddr_in *)&with_source->gsr_source)->sin_addr.s_addr;
	}
	/* For a group alone this is a struct ip_mreqn, whose third word is the interface's number: none. */
	*(struct ip_mreq_source *)ctx->optval = by_address;
	ctx->optname = option;
	ctx->optlen = sizeof(by_address);
}

SEC("cgroup/setsockopt")
int vne_option(struct bpf_sockopt *ctx)
{
	const struct vne_attachment *application = bpf_get_local_storage(&attachment, 0);

	if (vne_option_is_refused(ctx)) {
		struct vne_counters *here = bpf_get_local_storage(&counters, 0);

		here->verdicts[VNE_HOOK_CREATE][VNE_REASON_PROTOCOL]++;
		return 0;
	}
	if (ctx->level == VNE_SOL_IP && application->identity.address4) {
		if (ctx->optname >= IP_ADD_MEMBERSHIP && ctx->optname <= IP_DROP_SOURCE_MEMBERSHIP)
			vne_option_join(ctx, bpf_htonl(application->identity.address4));
		else
			vne_option_join_by_number(ctx, bpf_htonl(application->identity.address4));
	}
	if (ctx->optlen > VNE_OPTION_MAX)
		ctx->optlen = 0;
	return 1;
}
