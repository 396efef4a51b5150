import FileSystem
import HTTPTypes

/// The conditional headers of a request (RFC 9110 §13).
struct Conditions: Sendable {
    enum Tags: Sendable {
        case any
        case list([String])

        /// Of a field's value. Weak tags stay as they are: they never match strongly.
        init(_ value: String) {
            let value = value.trimmingBlanks
            self = value == "*" ? .any : .list(value.split(separator: ",").map { String($0).trimmingBlanks })
        }

        func matches(_ attributes: Attributes?, weakly: Bool) -> Bool {
            guard let attributes else { return false }
            guard case .list(let tags) = self else { return true }
            let own = attributes.entityTag
            return tags.contains { $0 == own || weakly && $0 == "W/" + own }
        }
    }

    var ifMatch: Tags?
    var ifNoneMatch: Tags?
    var ifModifiedSince: Int64?
    var ifUnmodifiedSince: Int64?

    init(_ headers: HTTPFields) {
        ifMatch = headers[.ifMatch].map(Tags.init)
        ifNoneMatch = headers[.ifNoneMatch].map(Tags.init)
        ifModifiedSince = headers[.ifModifiedSince].flatMap(HTTPDate.parse)
        ifUnmodifiedSince = headers[.ifUnmodifiedSince].flatMap(HTTPDate.parse)
    }

    init(ifMatch: String?, ifNoneMatch: String?) {
        self.ifMatch = ifMatch.map(Tags.init)
        self.ifNoneMatch = ifNoneMatch.map(Tags.init)
    }

    /// For a change: 412 or nil. `existing` is nil if nothing is there.
    func refuseChange(_ existing: Attributes?) -> Problem? {
        if let ifMatch {
            if !ifMatch.matches(existing, weakly: false) { return .preconditionFailed }
        } else if let limit = ifUnmodifiedSince, let existing, existing.modificationTime.seconds > limit {
            return .preconditionFailed
        }
        if let ifNoneMatch, ifNoneMatch.matches(existing, weakly: true) { return .preconditionFailed }
        return nil
    }

    enum Reading { case proceed, notModified, failed }

    func judgeReading(_ attributes: Attributes) -> Reading {
        if let ifMatch {
            if !ifMatch.matches(attributes, weakly: false) { return .failed }
        } else if let limit = ifUnmodifiedSince, attributes.modificationTime.seconds > limit {
            return .failed
        }
        if let ifNoneMatch { return ifNoneMatch.matches(attributes, weakly: true) ? .notModified : .proceed }
        if let since = ifModifiedSince, attributes.modificationTime.seconds <= since { return .notModified }
        return .proceed
    }
}

/// One range of bytes (RFC 9110 §14).
enum ByteRange {
    case whole
    case part(Range<UInt64>)
    case unsatisfiable

    /// What of `size` bytes is asked for. Anything but one range of bytes is answered with the whole.
    init(_ headers: HTTPFields, _ attributes: Attributes) {
        self = .whole
        guard let value = headers[.range], value.hasPrefix("bytes="), Self.applies(headers, attributes) else { return }
        let spec = value.dropFirst("bytes=".count)
        let ends = spec.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { String($0).trimmingBlanks }
        guard ends.count == 2, !spec.contains(",") else { return }
        let size = attributes.sizeBytes
        switch (Self.number(ends[0]), Self.number(ends[1])) {
        case (let from?, let to?) where from <= to:
            self = from < size ? .part(from..<min(to, size - 1) + 1) : .unsatisfiable
        case (let from?, nil) where ends[1].isEmpty:
            self = from < size ? .part(from..<size) : .unsatisfiable
        case (nil, let count?) where ends[0].isEmpty:
            self = count > 0 && size > 0 ? .part(size - min(count, size)..<size) : .unsatisfiable
        default: return
        }
    }

    private static func number(_ text: String) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        // More digits than fit mean more than any file has.
        return UInt64(text) ?? UInt64(Int64.max)
    }

    /// If-Range: the range counts only if the file is still that one.
    private static func applies(_ headers: HTTPFields, _ attributes: Attributes) -> Bool {
        guard let condition = headers[.ifRange] else { return true }
        if condition.hasPrefix("\"") { return condition == attributes.entityTag }
        return HTTPDate.parse(condition) == attributes.modificationTime.seconds
    }
}

extension String {
    /// Without spaces and tabs at both ends.
    var trimmingBlanks: String {
        var text = self[...]
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }
}
