import Testing

extension KernelProperties {
    @Suite(.serialized) struct KernelHookTests {
        /// Of each seed.
        static let calls = 150
        static let packets = 150

        @Test(arguments: [UInt64(0)..<5, 5..<10, 10..<15, 15..<20])
        func `calls and packets fare as the model says`(seeds: Range<UInt64>) throws {
            let world = try HookWorld()
            for seed in seeds {
                var comparison = try HookComparison(in: world, seed: seed)
                let mismatch = try comparison.mismatch(withinCalls: Self.calls, packets: Self.packets)
                #expect(mismatch == nil, "\(mismatch.map { "\($0)" } ?? "")")
                #expect(mismatch != nil || (comparison.calls >= Self.calls && comparison.packets >= Self.packets))
            }
        }
    }
}
