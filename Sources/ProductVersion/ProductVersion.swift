/// The version of all programs, of the server's API description and of the packages; CHANGELOG.md says what is in it.
public enum ProductVersion {
    public static let text = "0.2.0"
}
