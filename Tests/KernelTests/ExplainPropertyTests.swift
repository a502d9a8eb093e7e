import Testing

extension KernelProperties {
    @Suite(.serialized) struct KernelExplainTests {
        /// Of each seed.
        static let attempts = 150
        static let seeds = UInt64(0)..<12

        @Test func `explain and the kernel never disagree, neither on the verdict nor on the reason nor on the hook`()
            throws
        {
            let world = try HookWorld()
            var seen: [String: (allowed: Int, denied: Int)] = [:]
            for seed in Self.seeds {
                var comparison = try ExplainComparison(in: world, seed: seed)
                let mismatch = try comparison.mismatch(within: Self.attempts)
                #expect(mismatch == nil, "\(mismatch.map { "\($0)" } ?? "")")
                seen.merge(comparison.verdicts) { ($0.allowed + $1.allowed, $0.denied + $1.denied) }
            }
            // Each hook that explain names was met, both ways where it judges both ways.
            let both = [
                "cgroup/connect4", "cgroup/connect6", "cgroup/sendmsg4", "cgroup/sendmsg6", "cgroup_skb/ingress",
                "cgroup_skb/egress",
            ]
            for hook in both {
                #expect((seen[hook]?.allowed ?? 0) > 10 && (seen[hook]?.denied ?? 0) > 10, "\(hook): \(seen)")
            }
            #expect((seen["cgroup/sock_create"]?.denied ?? 0) > 10, "\(seen)")
        }
    }
}
