/// A mistake that somebody could make in `bpf/`: a text of one file, and what is in its place.
struct Mutation: CustomStringConvertible, Sendable {
    /// What the mistake comes to.
    var description: String
    var file: String
    /// Found in the file just once; otherwise the source has changed and the mutation has to be thought over.
    var text: String
    var replacement: String

    init(_ description: String, in file: String, _ text: String, _ replacement: String) {
        self.description = description
        self.file = file
        self.text = text
        self.replacement = replacement
    }

    /// Mistakes of the decision, of the image's look-ups and of the flow table.
    static let ofDecision = [
        Mutation(
            "the own prefix holds what is not in it", in: "decision.bpf.h",
            "(address & own->own_mask) == own->own_network", "(address & own->own_mask) != 0"),
        Mutation(
            "a permit counts in the other direction", in: "decision.bpf.h",
            """
            	if (vne_image_permits_flow(&judge->image, application->environment, other, attempt->remote, attempt->protocol,
            				   attempt->remote_port))
            """,
            """
            	if (vne_image_permits_flow(&judge->image, other, application->environment, attempt->remote, attempt->protocol,
            				   attempt->remote_port))
            """),
        Mutation(
            "a range of ports ends before its last", in: "image.bpf.h", "port >= first && port <= last",
            "port >= first && port < last"),
        Mutation(
            "a list of rules goes on behind its last", in: "image.bpf.h", "if (match & VNE_RULE_LAST)", "if (!match)"),
        Mutation(
            "the host is allowed where it is denied", in: "decision.bpf.h",
            "VNE_ENVIRONMENT_HOST ? VNE_REASON_HOST : VNE_REASON_HOST_DENIED",
            "VNE_ENVIRONMENT_HOST ? VNE_REASON_HOST_DENIED : VNE_REASON_HOST"),
        Mutation(
            "a source in the address space is believed wherever it comes from", in: "decision.bpf.h",
            "if (!this_host && !vne_image_believes(&judge->image, attempt->interface))",
            "if (!attempt->interface && !vne_image_believes(&judge->image, attempt->interface))"),
        Mutation(
            "a daemon of the host may answer on an application address", in: "decision.bpf.h", "\t\treturn allowed;\n",
            "\t\treturn 0;\n"),
        Mutation(
            "a service is shared at every port", in: "image.bpf.h", "image->header->shared[i].port == port", "port"),
        Mutation(
            "a flow counts whoever began it", in: "flows.bpf.h",
            "application->flow_keys[set][way] != key || (stamp & VNE_FLOW_INCOMING) != incoming",
            "application->flow_keys[set][way] != key"),
        Mutation(
            "a flow never ends", in: "flows.bpf.h", "now - stamp < VNE_FLOW_TIMEOUT", "now - stamp < ~0u"),
        Mutation(
            "a flow outlives its revocation", in: "flows.bpf.h", "(__s32)(stamp - header->flow_floor) > 0", "1"),
    ]

    /// Mistakes between the kernel and the decision, and behind it.
    static let ofHooks = [
        Mutation(
            "connect judges the port in network byte order", in: "connect.bpf.c",
            "\t\t.remote = bpf_ntohl(ctx->user_ip4),\n\t\t.remote_port = bpf_ntohs(ctx->user_port),",
            "\t\t.remote = bpf_ntohl(ctx->user_ip4),\n\t\t.remote_port = ctx->user_port,"),
        Mutation(
            "ingress takes packets for any destination", in: "ingress.bpf.c",
            "if (packet->destination != judge->application->address)", "if (!packet->destination)"),
        Mutation(
            "send forgets the protocol", in: "send.bpf.c",
            "\t\t.protocol = vne_socket_protocol(ctx),\n\t};\n\tstruct bpf_sock *sk",
            "\t\t.protocol = VNE_TCP,\n\t};\n\tstruct bpf_sock *sk"),
        Mutation(
            "bind takes a foreign address", in: "bind.bpf.c", "else if (attempt.remote != judge.application->address)",
            "else if (attempt.local_port && attempt.remote != judge.application->address)"),
        Mutation(
            "audit mode lifts every denial", in: "record.bpf.h", "reason >= VNE_REASON_FIRST_REACHABILITY && ", ""),
        Mutation(
            "any datagram answers", in: "ingress.bpf.c",
            "sk->dst_ip4 == bpf_htonl(packet->source) && sk->dst_port == bpf_htons(packet->source_port)",
            "packet->source"),
        Mutation(
            "the short way for established connections is open from every interface", in: "ingress.bpf.c",
            "skb->ifindex == VNE_LOOPBACK_INTERFACE && judge", "skb->ifindex && judge"),
        Mutation(
            "whoever sends with an application address is that application", in: "ingress.bpf.c",
            "!vne_sender_owns_source(skb, packet, judge->application)",
            "vne_sender_owns_source(skb, packet, judge->application) < 0"),
    ]
}
