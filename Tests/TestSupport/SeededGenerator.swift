/// SplitMix64: the same seed gives the same policies and attempts on every machine.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A generator whose numbers have nothing in common with those of a neighbouring seed: the sequence of a seed that
    /// were not mixed itself would be its neighbour's, from the second number on.
    public init(seed: UInt64) {
        state = Self.mixed(seed &+ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next number.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mixed(state)
    }

    /// True in one of `count` cases.
    public mutating func one(in count: Int) -> Bool {
        Int.random(in: 0..<count, using: &self) == 0
    }

    private static func mixed(_ number: UInt64) -> UInt64 {
        var mixed = number
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
