"""What a person does with Docket in a minute, against whatever server answers at a URL."""

from uuid import uuid4

import httpx

PASSWORD = "nine lives of a lighthouse"


def journey(client: httpx.Client) -> None:
    """Register, sign in, write, read, change under a condition, renew the tokens, sign out; fails where it should not.

    The client's base is the root of the server.
    """
    me = {"email": f"ada-{uuid4().hex[:12]}@example.com", "password": PASSWORD}
    api = "/api/v1"
    assert client.post(f"{api}/auth/register", json=me).status_code == httpx.codes.CREATED
    tokens = client.post(f"{api}/auth/login", json=me).raise_for_status().json()
    ours = {"Authorization": f"Bearer {tokens['access_token']}"}

    tasks = [
        client.post(f"{api}/tasks", json={"title": f"Light lamp {n}"}, headers=ours).raise_for_status().json()
        for n in range(3)
    ]
    page = client.get(f"{api}/tasks", params={"limit": 2}, headers=ours).raise_for_status().json()
    rest = client.get(f"{api}/tasks", params={"limit": 2, "cursor": page["next_cursor"]}, headers=ours)
    assert [task["id"] for task in page["items"] + rest.json()["items"]] == [task["id"] for task in reversed(tasks)]

    task = f"{api}/tasks/{tasks[0]['id']}"
    patch = {**ours, "If-Match": '"1"', "Content-Type": "application/merge-patch+json"}
    assert client.patch(task, content=b'{"priority": "high"}', headers=patch).json()["version"] == 2
    assert client.patch(task, content=b'{"priority": "low"}', headers=patch).json()["code"] == "precondition_failed"
    assert client.delete(task, headers=ours).status_code == httpx.codes.NO_CONTENT
    assert client.get(task, headers=ours).json()["code"] == "not_found"

    renewed = client.post(f"{api}/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).raise_for_status()
    ours["Authorization"] = f"Bearer {renewed.json()['access_token']}"
    assert client.post(f"{api}/auth/logout", headers=ours).status_code == httpx.codes.NO_CONTENT
    assert client.get(f"{api}/auth/me", headers=ours).json()["code"] == "token_revoked"
