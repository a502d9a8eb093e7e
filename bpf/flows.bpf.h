/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The application's own table of datagram flows: who was talked to, so that answers are let through.
 *
 * It lies in the attachment, so no other tenant can fill it; 128 sets of four ways, the oldest way is replaced. Who
 * writes a way claims its stamp first, so that two CPUs never leave a key that is half one flow's and half another's.
 */
#ifndef VNE_FLOWS_BPF_H
#define VNE_FLOWS_BPF_H

#include "image.bpf.h"

/* A flow's key: the peer, and both ports in one word. */
struct vne_flow {
	struct vne_address remote;
	__u32 ports;
};

static __always_inline __u32 vne_flow_set(const struct vne_flow *flow)
{
	__u64 key = (flow->remote.high ^ flow->remote.low) * 0x9e3779b97f4a7c15ull ^ flow->ports;

	key ^= key >> 32;
	key *= 0x9e3779b97f4a7c15ull;
	return key >> 57 & (VNE_FLOW_SETS - 1);
}

static __always_inline __u32 vne_flow_now(void)
{
	return bpf_ktime_get_coarse_ns() >> VNE_FLOW_CLOCK_SHIFT;
}

/* The stamp of a way whose key is being written. */
#define VNE_FLOW_CLAIMED ~0u

/* Whether a stamp is younger than the time-out and than the last policy that revoked something. */
static __always_inline int vne_flow_alive(const struct vne_image_header *header, __u32 stamp, __u32 now)
{
	return header->flows_open && (__s32)(stamp - header->flow_floor) > 0 && now - stamp < VNE_FLOW_TIMEOUT;
}

/* Whether a way with this stamp holds the flow. */
static __always_inline int vne_flow_is(const struct vne_attachment *application, __u32 set, __u32 way, __u32 stamp,
				       const struct vne_flow *flow, __u32 incoming)
{
	return application->flow_ports[set][way] == flow->ports &&
	       vne_is_same(application->flow_remotes[set][way], flow->remote) &&
	       (stamp & VNE_FLOW_INCOMING) == incoming && stamp != VNE_FLOW_CLAIMED;
}

/* Whether the flow was recorded; `incoming` is 0 or VNE_FLOW_INCOMING. A flow that is found is refreshed. */
static __noinline int vne_flow_known(struct vne_attachment *application, const struct vne_image_header *header,
				     const struct vne_flow *flow, __u32 incoming)
{
	__u32 set = vne_flow_set(flow), now = vne_flow_now() & ~VNE_FLOW_INCOMING;

	for (int way = 0; way < VNE_FLOW_WAYS; way++) {
		__u32 stamp = application->flow_stamps[set][way];

		if (!vne_flow_is(application, set, way, stamp, flow, incoming))
			continue;
		if (!vne_flow_alive(header, stamp & ~VNE_FLOW_INCOMING, now))
			return 0;
		/* Unless somebody else took the way meanwhile. */
		__sync_val_compare_and_swap(&application->flow_stamps[set][way], stamp, now | incoming);
		return 1;
	}
	return 0;
}

/* Records a flow in the way that has it, or in the oldest. Two that want the same way: the first one is recorded. */
static __noinline void vne_flow_record(struct vne_attachment *application, const struct vne_flow *flow, __u32 incoming)
{
	__u32 set = vne_flow_set(flow), now = vne_flow_now() & ~VNE_FLOW_INCOMING, oldest = 0, age = 0;
	__u32 *stamp, claimed;

	for (__u32 way = 0; way < VNE_FLOW_WAYS; way++) {
		__u32 seen = application->flow_stamps[set][way];

		if (vne_flow_is(application, set, way, seen, flow, incoming)) {
			oldest = way;
			break;
		}
		if (vne_is_none(application->flow_remotes[set][way])) {
			oldest = way;
			age = ~0u;
		} else if (now - (seen & ~VNE_FLOW_INCOMING) >= age && age != ~0u) {
			oldest = way;
			age = now - (seen & ~VNE_FLOW_INCOMING);
		}
	}
	oldest &= VNE_FLOW_WAYS - 1;
	stamp = &application->flow_stamps[set][oldest];
	claimed = *stamp;
	if (claimed == VNE_FLOW_CLAIMED || __sync_val_compare_and_swap(stamp, claimed, VNE_FLOW_CLAIMED) != claimed)
		return;
	application->flow_remotes[set][oldest] = flow->remote;
	application->flow_ports[set][oldest] = flow->ports;
	__sync_val_compare_and_swap(stamp, VNE_FLOW_CLAIMED, now | incoming);
}

#endif
