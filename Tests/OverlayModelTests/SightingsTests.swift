import Testing

@testable import OverlayModel

@Suite struct SightingsTests {
    private var sightings = Sightings()

    private mutating func see(_ places: [String], every pause: Duration, from start: Duration = .zero) -> Duration {
        var now = start
        for place in places {
            sightings.see("web", over: "hosts-0", at: place, now: now)
            now += pause
        }
        return now
    }

    @Test mutating func `a key that is heard from two places by turns is used by two`() {
        let now = see(["home", "thief", "home", "thief", "home"], every: .seconds(2))
        #expect(sightings.alarms(now: now) == [Sightings.Alarm(node: "web", places: ["home", "thief"])])
    }

    @Test mutating func `who roams is not two, also when he comes home in the evening`() {
        var now = see(["home", "train", "office", "train", "home"], every: .seconds(3600))
        #expect(sightings.alarms(now: now).isEmpty)
        now = see(["a", "b", "c", "d", "e", "f"], every: .seconds(2), from: now)
        #expect(sightings.alarms(now: now).isEmpty)
        // Once back and forth is a bad connection.
        now = see(["wifi", "mobile", "wifi", "mobile"], every: .seconds(10), from: now)
        #expect(sightings.alarms(now: now).isEmpty)
    }

    @Test mutating func `a node has a place of its own over each device`() {
        for second in 0..<20 {
            for device in ["hosts-0", "hosts-1"] {
                sightings.see("web", over: device, at: device, now: .seconds(second))
            }
        }
        #expect(sightings.alarms(now: .seconds(20)).isEmpty)
    }

    @Test mutating func `an alarm ends five minutes after the last turn`() {
        let now = see(["home", "thief", "home", "thief", "home"], every: .seconds(2))
        #expect(!sightings.alarms(now: now + .seconds(290)).isEmpty)
        #expect(sightings.alarms(now: now + .seconds(310)).isEmpty)
        _ = see(["home", "other", "home"], every: .seconds(2), from: now + .seconds(400))
        #expect(sightings.alarms(now: now + .seconds(410)).isEmpty)
    }
}
