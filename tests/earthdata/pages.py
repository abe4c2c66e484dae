"""HTML as the hosts show it; its words matter only to clients that look for them."""

LOGIN = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Earthdata Login</title></head>
<body class="login"><h1>Earthdata Login</h1>
<form id="login" action="/login" accept-charset="UTF-8" method="post">
<label for="username">Username</label><input type="text" name="username" id="username">
<label for="password">Password</label><input type="password" name="password" id="password">
<input type="submit" name="commit" value="Log in"></form></body></html>
"""

HOME = "<!DOCTYPE html><html><head><title>Earthdata Login</title></head><body><h1>Welcome</h1></body></html>"


def error(title, text):
    """As thin-egress-app's error.html."""
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"


def s3_error(code, message, **more):
    """Amazon's XML."""
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in {"Code": code, "Message": message, **more}.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{fields}<RequestId>FAKE</RequestId><HostId>fake</HostId></Error>'.encode()
