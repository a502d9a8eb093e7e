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
            "the own prefix holds what is not in it", in: "known.bpf.h",
            "((__u32)address.low & own->mask4) == own->network4", "((__u32)address.low & own->mask4) != 0"),
        Mutation(
            "the own IPv6 prefix is compared by its upper half only", in: "known.bpf.h",
            "(address.low & own->mask6.low) == own->network6.low", "own->mask6.high"),
        Mutation(
            "any protocol is spoken inside", in: "decision.bpf.h",
            "return vne_speaks(own, attempt->protocol) && !vne_is_to_loopback(identity, attempt) &&",
            "return !vne_is_to_loopback(identity, attempt) &&"),
        Mutation(
            "a packet leaves for the own environment with any source", in: "decision.bpf.h",
            "return vne_is_ipv4(source) == vne_is_ipv4(attempt->remote) && vne_is_own_address(identity, source) &&",
            "return vne_is_ipv4(source) == vne_is_ipv4(attempt->remote) &&"),
        Mutation(
            "a packet arrives from the own environment by every interface", in: "decision.bpf.h",
            "return attempt->interface == VNE_LOOPBACK_INTERFACE && vne_speaks(own, attempt->protocol) &&",
            "return vne_speaks(own, attempt->protocol) &&"),
        Mutation(
            "a permit counts in the other direction", in: "decision.bpf.h",
            """
            	if (vne_image_permits_flow(&judge->image, application->environment, other, &attempt->remote, attempt->protocol,
            				   attempt->remote_port))
            """,
            """
            	if (vne_image_permits_flow(&judge->image, other, application->environment, &attempt->remote, attempt->protocol,
            				   attempt->remote_port))
            """),
        Mutation(
            "groups are heard where nothing says so", in: "decision.bpf.h",
            "return protocol == VNE_UDP && judge->environment->own.flags & VNE_ENVIRONMENT_MULTICAST;",
            "return protocol == VNE_UDP && judge->environment->own.flags;"),
        Mutation(
            "who sends to a group and can't be found is the host", in: "decision.bpf.h", "return allowed && !host;",
            "return allowed != host;"),
        Mutation(
            "a permit counts for whoever comes to its slot", in: "image.bpf.h",
            "permits->from == from && vne_is_same(permits->to, *to)", "permits->from == from"),
        Mutation(
            "a range of ports ends before its last", in: "image.bpf.h", "walk->port <= ports >> 16",
            "walk->port < ports >> 16"),
        Mutation(
            "a list of rules goes on behind its last", in: "image.bpf.h", "return !!(match & VNE_RULE_LAST);",
            "return !match;"),
        Mutation(
            "a comparison of an IPv6 tree ignores the lower half", in: "image.bpf.h",
            "(address->low & compare->mask.low) == compare->network.low", "compare->mask.high"),
        Mutation(
            "an IPv6 tree takes the byte beside the one that differs", in: "image.bpf.h",
            "(56 - (position & 7) * 8)", "(48 - (position & 6) * 8)"),
        Mutation(
            "IPv6 remotes are judged by the list for IPv4", in: "decision.bpf.h",
            """
            	if (vne_image_remote_allows(&judge->image, ipv4 ? own->remote_out4 : own->remote_out6, &attempt->remote,
            				    attempt->protocol, attempt->remote_port))
            		return VNE_REASON_REMOTE;
            """,
            """
            	if (vne_image_remote_allows(&judge->image, ipv4 ? own->remote_out6 : own->remote_out4, &attempt->remote,
            				    attempt->protocol, attempt->remote_port))
            		return VNE_REASON_REMOTE;
            """),
        Mutation(
            "an application may have lost its IPv6 address to another environment", in: "decision.bpf.h",
            "if (has6 && !vne_in_own_prefix(&judge->environment->own, ipv6) && !vne_is_assigned(judge, &ipv6))",
            "if (!has4 && !has6)"),
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
            "a process of the host may talk to a private loopback", in: "decision.bpf.h",
            "if (reason == VNE_REASON_OWN_LOOPBACK)\n\t\treturn attempt->protocol != VNE_TCP",
            "if (reason == VNE_REASON_OWN_LOOPBACK)\n\t\treturn attempt->protocol == VNE_TCP"),
        Mutation(
            "a packet may leave with any source that is loopback", in: "decision.bpf.h",
            "\tif (vne_is_own_loopback(&application->identity, source)) {\n", "\tif (vne_is_loopback(source)) {\n"),
        Mutation(
            "a packet may leave a private loopback", in: "decision.bpf.h",
            "return vne_is_shared(judge, attempt) ? VNE_REASON_SHARED : VNE_REASON_SOURCE;",
            "return vne_decide_outgoing(judge, attempt);"),
        Mutation(
            "another application's private block is the own one", in: "address.bpf.h",
            "__u32 offset = address - identity->loopback4,", "__u32 offset = (address - identity->loopback4) & 0xff,"),
        Mutation(
            "an IPv6 address is the own one by its lower half", in: "address.bpf.h",
            "return !vne_is_none(address) && vne_is_same(address, identity->address6);",
            "return !vne_is_none(address) && address.low == identity->address6.low;"),
        Mutation(
            "a private loopback is reached over the wire", in: "decision.bpf.h",
            "\tif (attempt->interface != VNE_LOOPBACK_INTERFACE)\n\t\treturn VNE_REASON_LOOPBACK;\n", ""),
        Mutation(
            "a service is shared at every port", in: "image.bpf.h", "image->header->shared[i].port == port", "port"),
        Mutation(
            "a flow counts whoever began it", in: "flows.bpf.h",
            "(stamp & VNE_FLOW_INCOMING) == incoming && stamp", "incoming <= VNE_FLOW_INCOMING && stamp"),
        Mutation(
            "a flow is known by its ports and half of its peer", in: "flows.bpf.h",
            "vne_is_same(application->flow_remotes[set][way], flow->remote)",
            "application->flow_remotes[set][way].low == flow->remote.low"),
        Mutation(
            "a flow never ends", in: "flows.bpf.h", "now - stamp < VNE_FLOW_TIMEOUT", "now - stamp < ~0u"),
        Mutation(
            "a flow outlives its revocation", in: "flows.bpf.h", "(__s32)(stamp - header->flow_floor) > 0", "1"),
    ]

    /// Mistakes between the kernel and the decision, and behind it.
    static let ofHooks = [
        Mutation(
            "connect judges the port in network byte order", in: "connect.bpf.c",
            "\tattempt = vne_asked(ctx, vne_named4(ctx));\n",
            "\tattempt = vne_asked(ctx, vne_named4(ctx));\n\tattempt.remote_port = ctx->user_port;\n"),
        Mutation(
            "ingress takes packets for any destination", in: "decision.bpf.h",
            "\tif (!vne_is_own_address(&judge->application->identity, destination)) {",
            "\tif (vne_is_none(destination)) {"),
        Mutation(
            "send forgets the protocol", in: "send.bpf.c", "return vne_judge_call(attempt, VNE_HOOK_SEND,",
            "attempt->protocol = VNE_TCP;\n\treturn vne_judge_call(attempt, VNE_HOOK_SEND,"),
        Mutation(
            "bind takes a foreign address", in: "bind.bpf.c",
            "return vne_own_loopback4(&application->identity, asked);",
            "return vne_own_loopback4(&application->identity, asked) ?: asked;"),
        Mutation(
            "bind takes a foreign IPv6 address", in: "bind.bpf.c",
            "return vne_is_same(asked, application->identity.address6) ? asked : none;", "return asked;"),
        Mutation(
            "audit mode lifts every denial", in: "record.bpf.h", "reason >= VNE_REASON_FIRST_REACHABILITY && ", ""),
        Mutation(
            "any datagram answers", in: "incoming.bpf.c",
            "\tif (!sk || sk->dst_port != bpf_htons(packet->source_port))\n\t\treturn 0;\n",
            "\tif (sk)\n\t\treturn 1;\n\tif (!sk)\n\t\treturn 0;\n"),
        Mutation(
            "what comes from inside needs no sender", in: "decision.bpf.h", "return (kind == VNE_KIND_ACCEPTS ||",
            "return (kind <= VNE_KIND_SEGMENT ||"),
        Mutation(
            "an answer from inside needs nobody who vouches for it", in: "ingress.bpf.c",
            "return vne_handshake_is_recent(destination, source, to << 16 | from);",
            "return vne_handshake_is_recent(destination, source, to << 16 | from) >= 0;"),
        Mutation(
            "what comes from inside may be for any address", in: "ingress.bpf.c",
            "if (!epoch || ip->daddr != here->known.address4_be ||", "if (!epoch ||"),
        Mutation(
            "what comes from inside may be for any IPv6 address of the same lower half", in: "ingress.bpf.c",
            "destination[0] != here->known.address6_be[0] || destination[1]", "destination[1]"),
        Mutation(
            "what comes from inside may come by any interface", in: "ingress.bpf.c",
            "ip->ihl != 5 || skb->ifindex != VNE_LOOPBACK_INTERFACE)", "ip->ihl != 5)"),
        Mutation(
            "the remembered prefix holds what is not in it", in: "known.bpf.h",
            "return (address & known->mask4_be) == known->network4_be;",
            "return (address & known->mask4_be) || known->mask4_be;"),
        Mutation(
            "the remembered IPv6 prefix is compared by its upper half only", in: "known.bpf.h",
            "(address[1] & known->mask6_be[1]) == known->network6_be[1]", "known->mask6_be[0]"),
        Mutation(
            "any protocol is spoken in a call to the inside", in: "socket.bpf.h",
            "return epoch && (!local || local == own) && known->protocols & vne_protocol_bit(protocol) &&",
            "return epoch && (!local || local == own) && vne_protocol_bit(protocol) &&"),
        Mutation(
            "whoever sends with an application address is that application", in: "incoming.bpf.c",
            "vne_sender_of(skb, packet, judge->application)",
            "vne_sender_of(skb, packet, judge->application) < 0"),
        Mutation(
            "a sender that can't be found is the host", in: "decision.bpf.h",
            "(sender == VNE_SENDER_UNKNOWN && reason >= VNE_REASON_FIRST_DENIAL)",
            "(sender == VNE_SENDER_UNKNOWN && reason < VNE_REASON_FIRST_DENIAL)"),
        Mutation(
            "an IPv4 address is taken in its IPv6 form on the wire", in: "packet.bpf.h",
            "if (vne_is_ipv4(packet->source) || vne_is_ipv4(packet->destination))",
            "if (vne_is_ipv4(packet->source) && vne_is_ipv4(packet->destination))"),
        Mutation(
            "options of IPv6 hide the ports", in: "packet.bpf.h", "offset += (extension.hdrlen + 1) * 8;",
            "offset += extension.hdrlen * 8;"),
        Mutation(
            "any address may be bound where groups are heard", in: "bind.bpf.c",
            "if (!vne_is_group(judge, &attempt->remote))", "if (vne_is_none(attempt->remote))"),
        Mutation(
            "what is for another address is heard like a group", in: "decision.bpf.h",
            "vne_is_none(vne_own_address(&judge->application->identity, attempt->remote)) || !vne_is_group(judge, group))",
            "vne_is_none(vne_own_address(&judge->application->identity, attempt->remote)) || vne_is_group(judge, group) < 0)"
        ),
        Mutation(
            "a daemon of the host takes what is called on loopback", in: "loopback.bpf.h",
            "if (found >= VNE_LISTENER_BOUND)", "if (found >= VNE_LISTENER_FOREIGN)"),
        Mutation(
            "a wildcard's socket is not reached over loopback", in: "loopback.bpf.h",
            "&wild) >= VNE_LISTENER_WILDCARD) {", "&wild) > VNE_LISTENER_DUAL_WILDCARD) {"),
        Mutation(
            "a datagram to loopback leaves with the application address", in: "send.bpf.c",
            "if (reason != VNE_REASON_OWN_LOOPBACK && reason != VNE_REASON_SHARED)",
            "if (reason != VNE_REASON_SHARED)"),
        Mutation(
            "the peer on loopback has its own name", in: "name.bpf.c", "\tif (asked)\n\t\treturn asked;\n",
            "\tif (asked == address)\n\t\treturn asked;\n"),
        Mutation(
            "a datagram from IPv6 loopback has its own name", in: "name.bpf.c",
            "if (vne_is_same(address, application->identity.loopback6) ||", "if ("),
        Mutation(
            "a socket says the address for the wildcard that it asked for", in: "name.bpf.c",
            "return asked && *asked == VNE_ASKED_WILDCARD;", "return asked && *asked == VNE_ASKED_WILDCARD + 1;"),
    ]
}
