/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Test-only: runs the decision of ../decision.bpf.h on attempts that a test writes as a packet's bytes, so that tens of
 * thousands can be held to Policy.verdict. Answers with the reason.
 */
#include <linux/pkt_cls.h>
#include "../decision.bpf.h"

/* What the test asks, in a packet's bytes. */
struct vne_test_question {
	struct vne_attempt attempt;
	/* The application's end: a leaving packet's source, an arriving one's destination. */
	struct vne_address local;
	/* VNE_TEST_…. */
	__u32 direction;
	/* Index of the asking application in `asking`. */
	__u32 application;
	/* enum vne_sender: whose the sender's socket is. */
	__u32 sender;
	__u32 reserved;
};
#define VNE_TEST_CALL 0
#define VNE_TEST_LEAVING 1
#define VNE_TEST_ARRIVING 2

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct vne_attachment);
} asking SEC(".maps");

SEC("tc")
int vne_decide(struct __sk_buff *skb)
{
	struct vne_test_question question;
	struct vne_attachment *application;
	struct vne_judge judge;
	int reason;

	if (bpf_skb_load_bytes(skb, 0, &question, sizeof(question)))
		return VNE_REASON_MALFORMED;
	application = bpf_map_lookup_elem(&asking, &question.application);
	if (!application || !vne_judge_prepare(&judge, application))
		return VNE_REASON_UNCONFIGURED;
	if (question.direction == VNE_TEST_CALL)
		return vne_decide_outgoing(&judge, &question.attempt);
	if (question.direction == VNE_TEST_LEAVING)
		return vne_decide_leaving(&judge, &question.attempt, question.local);
	reason = vne_decide_arriving(&judge, &question.attempt, question.local);
	if (vne_sender_matters(&application->identity, &judge.environment->own, &question.attempt, reason,
			       question.local))
		return vne_reason_by_sender(&judge, &question.attempt, reason, question.local, question.sender);
	return reason;
}
