/// When a daemon has to look again, and at what: what it was told and has not dealt with yet.
///
/// A pure value. Times are durations since some moment that stays the same.
struct Agenda: Hashable {
    /// Something to do.
    enum Work: Hashable {
        /// Read the policy file, and apply it if it says something else than before.
        case read
        /// Read the policy file, and apply it in any case.
        case reload
        /// Compare the kernel with the published policy, and put right what differs.
        case mend
    }

    /// How often everything is looked at when nothing was heard: what no event tells, such as a failure that is over, is
    /// found then. With a thousand applications a look takes some 30 ms (`make bench ONLY=daemon`).
    static let round: Duration = .seconds(60)
    /// A file is read once nothing was heard of it for this long: editors write in several steps.
    static let quiet: Duration = .milliseconds(100)
    /// A file that changes all the time is read this long after the first change.
    static let patience: Duration = .seconds(1)
    /// How long after a failure comes the second try; each later one waits twice as long, until ``slowestRetry``.
    static let firstRetry: Duration = .seconds(1)
    static let slowestRetry: Duration = .seconds(30)
    /// How often an address that another host has is asked for.
    static let contention: Duration = .milliseconds(250)

    private var reloadDue: Duration?
    private var readDue: Duration?
    private var readAsked: Duration?
    private var mendDue: Duration?
    private var roundDue: Duration
    private var readRetry: Duration = firstRetry
    private var mendRetry: Duration = firstRetry
    /// Cgroups come and go with the programs in them, which wait for nothing: looks follow each other as fast as they may
    /// without keeping a processor busy.
    private var cgroupPace = Pace(interval: .milliseconds(25), burst: 40)
    /// Somebody else who undoes what is put back is another matter.
    private var pace = Pace(interval: .milliseconds(250), burst: 8)

    /// An agenda that has the policy applied first.
    init(at now: Duration) {
        reloadDue = now
        roundDue = now + Self.round
    }

    /// Notes what was heard.
    mutating func note(_ event: DaemonEvent, at now: Duration) {
        switch event {
        case .reload: reloadDue = now
        case .policyFile:
            let asked = readAsked ?? now
            readAsked = asked
            readDue = min(now + Self.quiet, asked + Self.patience)
        case .asked: look(at: now)
        case .cgroups: if look(at: cgroupPace.next(at: now)) { cgroupPace.spend(at: now) }
        case .addresses, .pins: if look(at: pace.next(at: now)) { pace.spend(at: now) }
        case .stop: break
        }
    }

    /// Has the kernel looked at; false if that will be done earlier. One look answers everything that was heard before it.
    @discardableResult
    private mutating func look(at time: Duration) -> Bool {
        if let mendDue, mendDue <= time { return false }
        mendDue = time
        return true
    }

    /// What is to be done now, taken off the agenda; nil if nothing is.
    mutating func next(at now: Duration) -> Work? {
        if Self.isDue(reloadDue, at: now) {
            reloadDue = nil
            readDue = nil
            readAsked = nil
            mendDue = nil
            return .reload
        }
        if roundDue <= now {
            roundDue = now + Self.round
            // What was noted is part of the round.
            mendDue = now
            readDue = now
        }
        if Self.isDue(readDue, at: now) {
            readDue = nil
            readAsked = nil
            return .read
        }
        guard Self.isDue(mendDue, at: now) else { return nil }
        mendDue = nil
        return .mend
    }

    /// Notes that work was done: what failed is tried again, later each time.
    mutating func finished(_ work: Work, failed: Bool, at now: Duration) {
        switch work {
        case .read, .reload:
            if failed { reloadDue = min(reloadDue ?? now + readRetry, now + readRetry) }
            readRetry = failed ? min(readRetry * 2, Self.slowestRetry) : Self.firstRetry
        case .mend:
            if failed { look(at: now + mendRetry) }
            mendRetry = failed ? min(mendRetry * 2, Self.slowestRetry) : Self.firstRetry
        }
    }

    /// Notes that another host has an address that an application here waits for.
    mutating func contest(at now: Duration) { look(at: now + Self.contention) }

    /// When there is something to do, if nothing is heard until then.
    var wakeUp: Duration {
        [reloadDue, readDue, mendDue].compactMap { $0 }.reduce(roundDue, min)
    }

    private static func isDue(_ time: Duration?, at now: Duration) -> Bool { time.map { $0 <= now } ?? false }
}

/// Lets some things happen at once, and more of them only one in an interval.
struct Pace: Hashable {
    var interval: Duration
    var burst: Int
    /// When the next one would be due if all had come one after another.
    private var due: Duration?

    init(interval: Duration, burst: Int) {
        self.interval = interval
        self.burst = burst
    }

    /// When one more may happen, if it is asked for now.
    func next(at now: Duration) -> Duration {
        max(now, (due ?? now) - interval * (burst - 1))
    }

    /// Counts one that is asked for now.
    mutating func spend(at now: Duration) {
        due = max(due ?? now, now) + interval
    }
}
