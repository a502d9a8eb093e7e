import PolicyModel
import Testing

extension KernelProperties {
    @Suite(.serialized) struct KernelDecisionTests {
        /// Under each of ``seeds``: an attempt takes microseconds.
        static let attempts = 2_000
        static let seeds = UInt64(0)..<60

        @Test(arguments: stride(from: seeds.lowerBound, to: seeds.upperBound, by: 10).map { $0..<$0 + 10 })
        func `the kernel decides what the model decides`(seeds: Range<UInt64>) throws {
            let program = try DecisionProgram(object: "\(Repository.root)/\(Repository.decision)")
            for seed in seeds {
                var comparison = try DecisionComparison(of: program, seed: seed)
                let mismatch = try comparison.mismatch(within: Self.attempts)
                #expect(mismatch == nil, "\(mismatch.map { "\($0)" } ?? "")")
            }
        }

        @Test func `attempts come to every reason that a decision can have`() throws {
            let program = try DecisionProgram(object: "\(Repository.root)/\(Repository.decision)")
            var reasons: [Reason: Int] = [:]
            for seed in Self.seeds.prefix(5) {
                var comparison = try DecisionComparison(of: program, seed: seed)
                _ = try comparison.mismatch(within: Self.attempts)
                reasons.merge(comparison.reasons, uniquingKeysWith: +)
            }
            // What only the hooks know of.
            let others: Set<Reason> = [
                .permittedUse, .foreignNamespace, .foreignAddress, .membership, .administration, .unix,
            ]
            let missing = Set(Reason.allCases).subtracting(others).filter { reasons[$0, default: 0] < 10 }
            #expect(missing.isEmpty, "\(reasons)")
        }
    }
}
