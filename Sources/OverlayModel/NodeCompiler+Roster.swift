/// What is said about the network's roster: ``RosterRequest``.
extension NodeCompiler {
    /// As rules of nftables: managers hear what nodes ask, and nodes what managers answer.
    var rosterRules: [String] {
        (node.role == .manager ? ["\(asked) dport \(RosterRequest.port) accept"] : [])
            + ["\(asked) sport \(RosterRequest.port) \(answers) accept"]
    }
}
