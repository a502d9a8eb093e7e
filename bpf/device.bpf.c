/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Opening a device: not /dev/net/tun, by which packets with any source come into the host as if from a link. Counted as
 * a protocol that is refused where it is made; this kind of program has no clock, so no record limits its rate.
 */
#include "maps.bpf.h"

#define VNE_MISC_MAJOR 10
#define VNE_TUN_MINOR 200

SEC("cgroup/dev")
int vne_device(struct bpf_cgroup_dev_ctx *ctx)
{
	struct vne_counters *here;

	if ((ctx->access_type & 0xffff) != BPF_DEVCG_DEV_CHAR || ctx->major != VNE_MISC_MAJOR ||
	    ctx->minor != VNE_TUN_MINOR)
		return 1;
	here = bpf_get_local_storage(&counters, 0);
	here->verdicts[VNE_HOOK_CREATE][VNE_REASON_PROTOCOL]++;
	return 0;
}
