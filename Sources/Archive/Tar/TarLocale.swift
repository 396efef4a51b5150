import Glibc

/// libarchive converts names between the thread's character set and UTF-8. In a UTF-8 locale that leaves them as they are.
enum TarLocale {
    // nonisolated(unsafe): set once, never freed; a locale_t is only read.
    nonisolated(unsafe) private static let utf8 = newlocale(Int32(1) << LC_CTYPE, "C.UTF-8", nil)

    static func run<R>(_ body: () -> R) -> R {
        guard let utf8 else { return body() }
        let before = uselocale(utf8)
        defer { uselocale(before) }
        // Where libarchive cannot convert a name it looks at errno, and ends the process if ENOMEM is left there from something else.
        errno = 0
        return body()
    }
}
