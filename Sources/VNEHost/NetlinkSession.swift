internal import CLinux
internal import Glibc

/// Requests and their answers over one netlink socket, one at a time.
final class NetlinkSession {
    /// What a request came to.
    struct Answer {
        /// `errno` of a refusal, 0 for success.
        var code: Int32
        /// The kernel's own sentence on a refusal.
        var text: String?
        /// The messages before the end, acknowledgements excepted.
        var replies: [NetlinkReply]
    }

    private let socket: any NetlinkSocket
    private var sequence: UInt32 = 0

    init(_ socket: any NetlinkSocket) {
        self.socket = socket
    }

    /// Sends a request and collects what answers it. The request asks for an acknowledgement (NLM_F_ACK) or a dump
    /// (NLM_F_DUMP), so that the end is known. A refusal is an answer; only a broken exchange throws.
    func exchange(_ message: NetlinkMessage) throws(HostError) -> Answer {
        // A dump that a change interrupted is inconsistent, says the kernel: it is begun anew, a few times.
        var answer = try exchangeOnce(message)
        var tries = 1
        while answer.interrupted, tries < 8 {
            answer = try exchangeOnce(message)
            tries += 1
        }
        guard !answer.interrupted else {
            throw .system("read", "a table that changes all the time, by netlink", code: EINTR)
        }
        return answer.answer
    }

    private func exchangeOnce(_ message: NetlinkMessage) throws(HostError) -> (answer: Answer, interrupted: Bool) {
        sequence &+= 1
        try socket.send(message.bytes(sequence: sequence))
        var replies: [NetlinkReply] = []
        var interrupted = false
        while true {
            for reply in try NetlinkReply.split(try socket.receive()) where reply.sequence == sequence {
                if reply.flags & UInt16(NLM_F_DUMP_INTR) != 0 { interrupted = true }
                switch Int32(reply.type) {
                case NLMSG_ERROR, NLMSG_DONE:
                    // Both begin with a negative errno, or 0. An empty NLMSG_DONE is success.
                    // No errno is the least number, which has no opposite.
                    let code = max(reply.payload.number(at: 0, as: Int32.self) ?? 0, -Int32.max)
                    return (
                        Answer(code: -code, text: code == 0 ? nil : Self.sentence(of: reply), replies: replies),
                        interrupted
                    )
                case NLMSG_NOOP: continue
                case NLMSG_OVERRUN: throw .system("read", "a netlink answer", code: ENOBUFS)
                default: replies.append(reply)
                }
            }
        }
    }

    /// NLMSGERR_ATTR_MSG, which follows the errno and, capped by NETLINK_CAP_ACK, the request's header.
    private static func sentence(of reply: NetlinkReply) -> String? {
        guard Int32(reply.type) == NLMSG_ERROR, reply.flags & UInt16(NLM_F_ACK_TLVS) != 0 else { return nil }
        return reply.attributes(after: 20)[Int(NLMSGERR_ATTR_MSG.rawValue)]?.text
    }
}
