internal import CLinux

/// The memory of this process.
public enum OwnMemory {
    /// Gives back to the kernel what was used and is not any more. The C function is `malloc_trim`.
    public static func giveBack() {
        _ = malloc_trim(0)
    }
}
