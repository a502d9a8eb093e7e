/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The application's own table of datagram flows: who was talked to, so that answers are let through.
 *
 * It lies in the attachment, so no other tenant can fill it; 256 sets of four ways, the oldest way is replaced. Key and
 * stamp are written one after the other: a race between two CPUs leaves a key with another flow's time, which is a flow
 * of the same application that was let through as well.
 */
#ifndef VNE_FLOWS_BPF_H
#define VNE_FLOWS_BPF_H

#include "image.bpf.h"

static __always_inline __u64 vne_flow_key(__u32 remote, __u16 remote_port, __u16 local_port)
{
	return (__u64)remote << 32 | (__u32)remote_port << 16 | local_port;
}

static __always_inline __u32 vne_flow_set(__u64 key)
{
	key ^= key >> 32;
	key *= 0x9e3779b97f4a7c15ull;
	return key >> 56 & (VNE_FLOW_SETS - 1);
}

static __always_inline __u32 vne_flow_now(void)
{
	return bpf_ktime_get_coarse_ns() >> VNE_FLOW_CLOCK_SHIFT;
}

/* Whether a stamp is younger than the time-out and than the last policy that revoked something. */
static __always_inline int vne_flow_alive(const struct vne_image_header *header, __u32 stamp, __u32 now)
{
	return header->flows_open && (__s32)(stamp - header->flow_floor) > 0 && now - stamp < VNE_FLOW_TIMEOUT;
}

/* Whether the flow was recorded; `incoming` is 0 or VNE_FLOW_INCOMING. A flow that is found is refreshed. */
static __noinline int vne_flow_known(struct vne_attachment *application, const struct vne_image_header *header,
				     __u64 key, __u32 incoming)
{
	__u32 set = vne_flow_set(key), now = vne_flow_now() & ~VNE_FLOW_INCOMING;

	for (int way = 0; way < VNE_FLOW_WAYS; way++) {
		__u32 stamp = application->flow_stamps[set][way];

		if (application->flow_keys[set][way] != key || (stamp & VNE_FLOW_INCOMING) != incoming)
			continue;
		if (!vne_flow_alive(header, stamp & ~VNE_FLOW_INCOMING, now))
			return 0;
		application->flow_stamps[set][way] = now | incoming;
		return 1;
	}
	return 0;
}

/* Records a flow in the way that has it, or in the oldest. */
static __noinline void vne_flow_record(struct vne_attachment *application, __u64 key, __u32 incoming)
{
	__u32 set = vne_flow_set(key), now = vne_flow_now() & ~VNE_FLOW_INCOMING, oldest = 0, age = 0;

	for (__u32 way = 0; way < VNE_FLOW_WAYS; way++) {
		__u32 stamp = application->flow_stamps[set][way];

		if (application->flow_keys[set][way] == key && (stamp & VNE_FLOW_INCOMING) == incoming) {
			oldest = way;
			break;
		}
		if (!application->flow_keys[set][way]) {
			oldest = way;
			age = ~0u;
		} else if (now - (stamp & ~VNE_FLOW_INCOMING) >= age && age != ~0u) {
			oldest = way;
			age = now - (stamp & ~VNE_FLOW_INCOMING);
		}
	}
	oldest &= VNE_FLOW_WAYS - 1;
	application->flow_keys[set][oldest] = key;
	application->flow_stamps[set][oldest] = now | incoming;
}

#endif
