/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet on its way to a socket of the application: dropped unless it is addressed to the application and its source
 * may talk to it. This is the hook that nothing passes by: it sees every packet that a socket would queue.
 */
#include "judge.bpf.h"

SEC("cgroup_skb/ingress")
int vne_ingress(struct __sk_buff *skb)
{
	struct vne_packet packet = {};
	__u32 refusal = vne_packet_read(skb, &packet);

	return !!(vne_judge_incoming(skb, &packet, refusal) & VNE_JUDGED_PASS);
}
