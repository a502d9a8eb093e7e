/// What the probes of one link say of it, moment by moment. Pure: whoever sends and hears them tells it.
///
/// A link is *silent* once no answer came for as long as the plan allows, and *narrow* once none came to a large probe while
/// small ones are answered. It is *good* again after it was so without a break for a while, which gets longer for a link that
/// does not stay good.
///
/// Time counts only as it is watched: a prober that stood still, as its machine did, does not take that for the links' silence.
public struct LinkHealth: Hashable, Sendable {
    /// What a link is.
    public enum State: String, Codable, Hashable, Sendable {
        /// Nothing was heard yet, nor missed for long enough.
        case unknown
        /// Carries packets of every size, as far as that is probed.
        case good
        /// Carries small packets only.
        case narrow
        /// Carries nothing.
        case silent
    }

    /// A probe's size.
    public enum Size: Hashable, Sendable {
        /// As small as may be.
        case small
        /// As large as the link has to carry.
        case large
    }

    /// What it is now.
    public private(set) var state = State.unknown
    /// The smoothed time from a probe to its answer (as RFC 6298, section 2, smooths it); nil before the first.
    public private(set) var roundTrip: Duration?

    private let interval: Duration
    private let patience: Duration
    /// Bytes of a large probe; nil where large ones are the other end's.
    private let largeBytes: Int?

    /// Watched time since the last answer to any probe.
    private var silence = Duration.zero
    /// Watched time since a large probe was sent that nobody answered yet; nil where there is none.
    private var missing: Duration?
    /// Bytes that large probes may still cost.
    private var budget = 0.0
    /// How long a lost link was without a fault.
    private var sound = Duration.zero
    /// How long it has to be so before it is good.
    private var probation = Self.firstProbation
    /// The same, of the next time that it is lost.
    private var nextProbation = Self.firstProbation
    /// How long it is good already.
    private var goodFor = Duration.zero

    /// A link that comes back has to be sound for so long.
    static let firstProbation = Duration.seconds(1)
    /// And for so long at most, if it does not stay good.
    static let longestProbation = Duration.seconds(16)
    /// A link that was good for so many times as long as it had to prove itself is trusted as before.
    static let trust = 4
    /// What large probes may cost: a tenth of what the link carries, and two a second.
    static let share = 0.1
    static let largeProbesPerSecond = 2.0

    /// A link of a plan of which nothing is known.
    public init(_ link: ProbePlan.Link, of plan: ProbePlan) {
        interval = .milliseconds(plan.interval)
        patience = plan.patience
        largeBytes = link.mtu
    }

    /// An answer came.
    /// - Parameter roundTrip: since its probe was sent.
    public mutating func hear(_ size: Size, after roundTrip: Duration) {
        silence = .zero
        if size == .large { missing = nil }
        self.roundTrip = self.roundTrip.map { $0 + (roundTrip - $0) / 8 } ?? roundTrip
    }

    /// Time passed, much less than an interval at once; what was heard meanwhile was told before.
    public mutating func pass(_ elapsed: Duration) {
        // What was not watched proves nothing.
        let watched = min(elapsed, interval)
        silence += watched
        if missing != nil { missing? += watched }
        judge(watched)
    }

    /// The probes that are due, an interval after those before.
    /// - Parameter carried: bytes that the link carried since then, both ways.
    public mutating func due(carried: Int) -> [Size] {
        guard let largeBytes else { return [.small] }
        let bytes = Double(largeBytes)
        budget += Self.share * Double(carried) + Self.largeProbesPerSecond * bytes * (interval / .seconds(1))
        // What was saved up is one probe's.
        budget = min(budget, bytes)
        guard budget >= bytes || isInDoubt else { return [.small] }
        budget = max(0, budget - bytes)
        if missing == nil { missing = .zero }
        return [.small, .large]
    }

    /// A large probe that is overdue is sent again at once, whatever it costs: a single loss is not the link's end.
    private var isInDoubt: Bool {
        guard state == .good, let missing else { return false }
        return missing > interval / 2 + (roundTrip ?? .zero)
    }

    /// What the link looks like at this moment, whatever it was before.
    private var look: State {
        if silence > patience { return .silent }
        // An answer takes its time; small ones say how long.
        if let missing, missing >= patience + (roundTrip ?? .zero) { return .narrow }
        return .good
    }

    private mutating func judge(_ watched: Duration) {
        let look = look
        switch (state, look) {
        case (.unknown, _):
            // What never worked is not lost.
            if roundTrip != nil, look == .good { state = .good }
        case (.good, .good):
            goodFor += watched
            if goodFor >= probation * Self.trust { nextProbation = Self.firstProbation }
        case (.good, _):
            probation = nextProbation
            nextProbation = min(nextProbation * 2, Self.longestProbation)
            (state, sound) = (look, .zero)
        case (_, .good):
            sound += watched
            if sound >= probation { (state, goodFor) = (.good, .zero) }
        default:
            (state, sound) = (look, .zero)
        }
    }
}

extension LinkHealth.State {
    /// The neighbours that are not spoken to, so that routing takes other ways: those of lost links, as long as there is a
    /// better one. A node that has nothing better keeps what it has.
    public static func unused(_ links: [String: LinkHealth.State]) -> Set<String> {
        let lost: Set<LinkHealth.State> =
            links.values.contains(.good) ? [.narrow, .silent] : links.values.contains(.narrow) ? [.silent] : []
        return Set(links.filter { lost.contains($0.value) }.keys)
    }
}
