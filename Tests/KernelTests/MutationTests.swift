import Testing

extension KernelProperties {
    @Suite(.serialized) struct KernelMutationTests {
        @Test func `every mutation of the decision is found`() throws {
            let build = try MutationBuild(of: Repository.decision)
            #expect(try Self.decisionMismatch(build.original) == nil)
            for mutation in Mutation.ofDecision {
                Self.report(mutation, try Self.decisionMismatch(build.object(with: mutation)))
            }
        }

        @Test func `every mutation of the hooks is found`() throws {
            let build = try MutationBuild(of: Repository.programs)
            // A few seeds: that no other differs is what the property test says of the same sources.
            #expect(try Self.hookMismatch(build.original, seeds: 0..<2) == nil)
            for mutation in Mutation.ofHooks {
                Self.report(mutation, try Self.hookMismatch(build.object(with: mutation), seeds: 0..<20))
            }
        }

        private static func report(_ mutation: Mutation, _ mismatch: Mismatch?) {
            #expect(mismatch != nil, "“\(mutation)” was not found")
            if let mismatch { print("mutation “\(mutation)” found by \(mismatch)") }
        }

        private static func decisionMismatch(_ object: String) throws -> Mismatch? {
            let program = try DecisionProgram(object: object)
            for seed in UInt64(0)..<20 {
                var comparison = try DecisionComparison(of: program, seed: seed)
                if let mismatch = try comparison.mismatch(within: KernelDecisionTests.attempts) { return mismatch }
            }
            return nil
        }

        private static func hookMismatch(_ object: String, seeds: Range<UInt64>) throws -> Mismatch? {
            let world = try HookWorld(object: object)
            for seed in seeds {
                var comparison = try HookComparison(in: world, seed: seed)
                let mismatch = try comparison.mismatch(
                    withinCalls: KernelHookTests.calls, packets: KernelHookTests.packets)
                if let mismatch { return mismatch }
            }
            return nil
        }
    }
}
