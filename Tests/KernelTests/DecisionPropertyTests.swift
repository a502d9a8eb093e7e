import Testing

extension KernelProperties {
    @Suite(.serialized) struct KernelDecisionTests {
        /// More than the 500 that are asked for: an attempt takes microseconds.
        static let attempts = 1_000

        @Test(arguments: UInt64(0)..<20)
        func `the kernel decides what the model decides`(seed: UInt64) throws {
            let program = try DecisionProgram(object: "\(Repository.root)/\(Repository.decision)")
            var comparison = try DecisionComparison(of: program, seed: seed)
            let mismatch = try comparison.mismatch(within: Self.attempts)
            #expect(mismatch == nil, "\(mismatch.map { "\($0)" } ?? "")")
        }
    }
}
