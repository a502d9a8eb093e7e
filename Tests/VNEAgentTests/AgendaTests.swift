import Testing

@testable import VNEAgent

@Suite struct AgendaTests {
    /// An agenda that has the first application behind it, at zero.
    private func agenda() -> Agenda {
        var agenda = Agenda(at: .zero)
        #expect(agenda.next(at: .zero) == .reload)
        agenda.finished(.reload, failed: false, at: .zero)
        return agenda
    }

    @Test func `nothing is due before the next round when nothing is heard`() {
        var agenda = agenda()
        #expect(agenda.wakeUp == Agenda.round)
        #expect(agenda.next(at: Agenda.round - .seconds(1)) == nil)
        #expect(agenda.next(at: Agenda.round) == .read)
        #expect(agenda.next(at: Agenda.round) == .mend)
        #expect(agenda.next(at: Agenda.round) == nil)
        #expect(agenda.wakeUp == Agenda.round * 2)
    }

    @Test(arguments: [DaemonEvent.cgroups, .addresses, .pins])
    func `what comes apart is looked at once and at once`(event: DaemonEvent) {
        var agenda = agenda()
        agenda.note(event, at: .seconds(1))
        agenda.note(event, at: .seconds(1))
        #expect(agenda.wakeUp == .seconds(1))
        #expect(agenda.next(at: .seconds(1)) == .mend)
        #expect(agenda.next(at: .seconds(1)) == nil)
    }

    @Test func `a file is read when it has been quiet for a moment`() {
        var agenda = agenda()
        agenda.note(.policyFile, at: .seconds(1))
        agenda.note(.policyFile, at: .milliseconds(1050))
        #expect(agenda.next(at: .milliseconds(1100)) == nil)
        #expect(agenda.next(at: .milliseconds(1150)) == .read)
        #expect(agenda.next(at: .milliseconds(1150)) == nil)
    }

    @Test func `a file that never rests is read all the same`() {
        var agenda = agenda()
        var read: [Duration] = []
        for step in 0..<300 {
            let now = Duration.milliseconds(10 * step)
            agenda.note(.policyFile, at: now)
            if agenda.next(at: now) == .read { read.append(now) }
        }
        #expect(read == [.milliseconds(1000), .milliseconds(2010)])
    }

    @Test func `a reload comes before all else and answers it too`() {
        var agenda = agenda()
        agenda.note(.cgroups, at: .seconds(1))
        agenda.note(.policyFile, at: .seconds(1))
        agenda.note(.reload, at: .seconds(1))
        #expect(agenda.next(at: .seconds(1)) == .reload)
        #expect(agenda.next(at: .seconds(2)) == nil)
    }

    @Test func `what failed is tried again, later each time, until it succeeds`() {
        var agenda = agenda()
        var now = Duration.zero
        var pauses: [Int64] = []
        for _ in 0..<7 {
            agenda.finished(.mend, failed: true, at: now)
            let next = agenda.wakeUp
            pauses.append((next - now).components.seconds)
            now = next
            while agenda.next(at: now) != nil {}
        }
        #expect(pauses.prefix(4) == [1, 2, 4, 8])
        #expect(pauses.allSatisfy { $0 <= 30 })
        agenda.finished(.mend, failed: false, at: now)
        agenda.finished(.mend, failed: true, at: now)
        #expect(agenda.wakeUp == now + Agenda.firstRetry)
    }

    @Test func `somebody who takes away what is put back keeps nobody busy`() {
        var agenda = agenda()
        var looks = 0
        for step in 0..<10_000 {
            let now = Duration.milliseconds(step)
            if agenda.next(at: now) == .mend { looks += 1 }
            // As soon as it is put back it is taken away.
            agenda.note(.addresses, at: now)
        }
        #expect((40...60).contains(looks), "\(looks) in ten seconds")
    }

    @Test func `a cgroup is not kept waiting by addresses`() {
        var agenda = agenda()
        for step in 0..<1000 {
            let now = Duration.milliseconds(step)
            agenda.note(.addresses, at: now)
            _ = agenda.next(at: now)
        }
        agenda.note(.cgroups, at: .seconds(1))
        #expect(agenda.next(at: .seconds(1)) == .mend)
    }
}
