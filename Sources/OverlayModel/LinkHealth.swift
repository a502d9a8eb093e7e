/// What the probes of one link say of it, moment by moment. Pure: whoever sends and hears them tells it.
///
/// A link is *silent* once no answer came for as long as the plan allows, and *narrow* once none came to a large probe while
/// small ones are answered. One that was lost is *sound* again after it was good without a break for a while, which gets longer for
/// a link that does not stay so.
///
/// Time counts only as it is watched: a prober that stood still, as its machine did, does not take that for the links' silence.
public struct LinkHealth: Hashable, Sendable {
    /// What a link is.
    public enum State: String, Codable, Hashable, Sendable {
        /// Nothing was heard yet.
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
    /// Whether it is good, and was so for long enough since it was lost.
    public var isSound: Bool { state == .good && probationLeft <= .zero }
    /// Whether everybody else is reached over it.
    public let leadsOn: Bool
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
    /// Whether a large probe was answered ever.
    private var heardLarge = false
    /// How long it has to be good until it is sound.
    private var probationLeft = Duration.zero
    /// The same, when it was lost last, and when it is lost the next time.
    private var probation = Self.firstProbation
    private var nextProbation = Self.firstProbation
    /// How long it is sound already.
    private var soundFor = Duration.zero

    /// A link that comes back has to be good for so long.
    static let firstProbation = Duration.seconds(1)
    /// And for so long at most, if it does not stay so.
    static let longestProbation = Duration.seconds(16)
    /// A link that was sound for so many times as long as it had to prove itself is trusted as before.
    static let trust = 4
    /// What large probes may cost: a tenth of what the link carries, and two a second.
    static let share = 0.1
    static let largeProbesPerSecond = 2.0

    /// A link of a plan of which nothing is known.
    public init(_ link: ProbePlan.Link, of plan: ProbePlan) {
        interval = .milliseconds(plan.interval)
        patience = plan.patience
        largeBytes = link.mtu
        leadsOn = link.leadsOn
        budget = Double(link.mtu ?? 0)
    }

    /// An answer came.
    /// - Parameter roundTrip: since its probe was sent.
    public mutating func hear(_ size: Size, after roundTrip: Duration) {
        silence = .zero
        if size == .large { (missing, heardLarge) = (nil, true) }
        self.roundTrip = self.roundTrip.map { $0 + (roundTrip - $0) / 8 } ?? roundTrip
    }

    /// Time passed, a small part of an interval; what was heard meanwhile was told before.
    public mutating func pass(_ elapsed: Duration) {
        // What was not watched proves nothing.
        let watched = min(elapsed, interval * 3 / 10)
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
        guard look == .good, let missing else { return false }
        return missing > interval / 2 + (roundTrip ?? .zero)
    }

    /// What the link looks like at this moment, whatever it was before.
    private var look: State {
        // The last of the probes that may be lost has to have had the time for its answer; small ones say how long that is.
        let answer = max(interval * 3 / 10, (roundTrip ?? .zero) * 3 / 2)
        if silence > patience + min(interval / 2, answer) { return .silent }
        // The last answer is an interval older than the first of them; of large ones, the first itself is what is missing.
        if let missing, missing > patience - interval + answer { return .narrow }
        return .good
    }

    private mutating func judge(_ watched: Duration) {
        let look = look
        switch (state, look) {
        case (.unknown, .silent): break  // What never worked is not lost.
        case (.unknown, .narrow): if roundTrip != nil { state = .narrow }
        case (.unknown, _): if roundTrip != nil, heardLarge || largeBytes == nil { state = .good }
        case (.good, .good):
            if probationLeft > .zero {
                probationLeft -= watched
            } else {
                soundFor += watched
                if soundFor >= probation * Self.trust { nextProbation = Self.firstProbation }
            }
        case (.good, _):
            lose()
            state = look
        default: state = look
        }
    }

    private mutating func lose() {
        // In probation it was lost already.
        if probationLeft <= .zero {
            probation = nextProbation
            // Who has no device for this link alone does not know whether the other end has any other one.
            if largeBytes != nil { nextProbation = min(nextProbation * 2, Self.longestProbation) }
        }
        (probationLeft, soundFor) = (probation, .zero)
    }
}

extension LinkHealth {
    /// The neighbours that are not spoken to from here on, so that routing takes other ways.
    ///
    /// Those of silent links, as long as any other one is alive; those of narrow ones, as long as a good one leads to the same
    /// nodes. Who is not spoken to already is so again once his link is sound, or there is nothing better.
    /// - Parameters:
    ///   - links: by their neighbours.
    ///   - before: who was not spoken to up to here.
    public static func unused(_ links: [String: LinkHealth], before: Set<String>) -> Set<String> {
        func isAlternative(_ neighbour: String, _ link: LinkHealth) -> Bool {
            link.state == .good && (link.isSound || !before.contains(neighbour))
        }
        let alternatives = links.filter { isAlternative($0.key, $0.value) }
        let isAlive = !alternatives.isEmpty || links.values.contains { $0.state == .narrow && $0.leadsOn }
        let leadsOn = alternatives.values.contains(where: \.leadsOn)
        return Set(
            links.filter { neighbour, link in
                switch link.state {
                case .unknown: false
                case .silent: isAlive
                case .narrow: leadsOn
                case .good: before.contains(neighbour) && !link.isSound && leadsOn
                }
            }.keys)
    }
}
