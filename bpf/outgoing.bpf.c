/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The judgements of what an application does: see judge.bpf.h. */
#include "judge.bpf.h"

static __always_inline int vne_judge_outgoing(const struct vne_attempt *attempt, const struct vne_address *source,
					      __u32 hook, __u32 refusal, int caller)
{
	struct vne_judge judge;
	int reason = refusal;

	if (!vne_judge_prepare_here(&judge))
		reason = VNE_REASON_UNCONFIGURED;
	if (reason == VNE_REASON_PERMITTED_USE) {
		reason = source ? vne_decide_leaving(&judge, attempt, *source) : vne_decide_outgoing(&judge, attempt);
		vne_remember_flow(&judge, attempt, reason, 0);
	}
	return vne_conclude(&judge, hook, reason, attempt, caller) ? reason | VNE_JUDGED_PASS : reason;
}

__noinline int vne_judge_call(const struct vne_attempt *attempt, __u32 hook, __u32 refusal)
{
	return attempt ? vne_judge_outgoing(attempt, NULL, hook, refusal, VNE_CALLER) : VNE_REASON_UNCONFIGURED;
}

__noinline int vne_judge_leaving(const struct vne_attempt *attempt, const struct vne_address *source, __u32 refusal)
{
	return attempt && source ? vne_judge_outgoing(attempt, source, VNE_HOOK_EGRESS, refusal, VNE_NO_CALLER)
				 : VNE_REASON_UNCONFIGURED;
}
