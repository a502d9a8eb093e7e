internal import Glibc

/// A file descriptor that is closed with its owner.
struct Descriptor: ~Copyable {
    let rawValue: Int32

    /// Takes over a descriptor.
    init(owning rawValue: Int32) {
        self.rawValue = rawValue
    }

    deinit {
        // Nothing was written through it, so there is no error that anyone could act on.
        _ = close(rawValue)
    }
}
