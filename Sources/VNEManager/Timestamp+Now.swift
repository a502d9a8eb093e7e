internal import Glibc
public import OverlayKeys

extension Timestamp {
    /// By the system's clock.
    public static var now: Timestamp { Timestamp(seconds: Int64(time(nil))) }
}
